"""STAC items as what is predicted on, and as where the results are found: an image in, its objects as one more asset out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rscovlm.files import check_folder, claim_folder, write_text
from rscovlm.predicting.items import Item
from rscovlm.predicting.placed_rows import write_objects
from rscovlm.rasters.formats import PICTURE_ENDINGS
from rscovlm.records.paths import file_name, within

STAC = "stac"
ASSET = "rscovlm-objects"
"""Name of the asset with the results."""

_LONGEST = 2**24
_ROLES = ("visual", "data", "overview")


def read_stac(path: Path, asset: str | None = None) -> tuple[Item, dict[str, Any]]:
    """Return what a STAC item gives to predict on, and the item itself.

    Args:
        path: JSON of an item; its image lies in or below the same folder.
        asset: Key of the asset; by default the image with the role visual, data or overview, in this order, else the first.

    Raises:
        ValueError: It is no STAC item, has no such asset, or its image is an address or lies elsewhere.
    """
    if path.stat().st_size > _LONGEST:
        raise ValueError(f"{path} has more than {_LONGEST} bytes; a STAC item has a few thousand")
    try:
        item = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(item, dict) or item.get("type") != "Feature" or "stac_version" not in item:
        raise ValueError(f"{path} is no STAC item; give an object with type Feature and stac_version")
    name, assets = item.get("id"), item.get("assets")
    if not isinstance(name, str) or not name or not isinstance(assets, dict):
        raise ValueError(f"{path} has no id or no assets; both are part of a STAC item")
    href = _href(path, assets, asset)
    try:
        image = within(path.parent, href.removeprefix("./"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}; only images beside or below the item are opened") from error
    return Item(name, image), item


def _href(path: Path, assets: Mapping[str, Any], asset: str | None) -> str:
    found = {
        key: one
        for key, one in assets.items()
        if isinstance(one, dict) and isinstance(one.get("href"), str) and _pictured(one)
    }
    if asset is not None:
        if asset not in found:
            raise ValueError(f"{path}: asset is {asset!r}; the images of the item are {list(found)}")
        return str(found[asset]["href"])
    for role in _ROLES:
        for one in found.values():
            if role in (one.get("roles") or ()):
                return str(one["href"])
    if not found:
        raise ValueError(f"{path} has no asset that is an image; its assets are {list(assets)}")
    return str(next(iter(found.values()))["href"])


def _pictured(asset: Mapping[str, Any]) -> bool:
    kind = str(asset.get("type", ""))
    return kind.startswith("image/") or Path(asset["href"]).suffix.lower() in PICTURE_ENDINGS


def stac_items(
    paths: Iterable[Path], asset: str | None = None
) -> tuple[list[Item], dict[str, tuple[Path, dict[str, Any]]]]:
    """Return what several STAC items give to predict on, and each item with its path by id.

    Raises:
        ValueError: As for `read_stac`, or an id occurs twice.
    """
    items: list[Item] = []
    sources: dict[str, tuple[Path, dict[str, Any]]] = {}
    for path in paths:
        item, source = read_stac(path, asset)
        if item.id in sources:
            raise ValueError(
                f"STAC items {sources[item.id][0]} and {path} have the same id {item.id!r}; give each once"
            )
        items.append(item)
        sources[item.id] = path, source
    return items, sources


def check_stac_folder(folder: Path, *, overwrite: bool = False) -> None:
    """Refuse a folder that `write_stac` would not take.

    Raises:
        ValueError: It holds other things.
    """
    check_folder(folder, STAC, overwrite=overwrite)


def write_stac(
    sources: Mapping[str, tuple[Path, dict[str, Any]]],
    rows: Mapping[str, dict[str, Any]],
    folder: Path,
    *,
    overwrite: bool = False,
) -> int:
    """Write an item with its objects as GeoJSON for each answered one, and return how many.

    An item is the one that was read, with one more asset (`ASSET`), a link to where it came from, and its other hrefs as they can be
    followed from the new folder. What it says of place and time stays.

    Args:
        sources: From `stac_items`.
        rows: Rows of `predict` by id; those without objects have no item.
        folder: New, empty or ours.
        overwrite: Take a folder that holds other things too.

    Raises:
        ValueError: The folder holds other things.
    """
    place = claim_folder(folder, STAC, overwrite=overwrite)
    count = 0
    for name, path, item in _answered(sources, rows):
        stem = file_name(name)
        objects = place / f"{stem}.geojson"
        write_objects({name: rows[name]}, objects, overwrite=overwrite)
        made = {
            "href": f"./{objects.name}",
            "type": "application/geo+json",
            "title": "Objects found by rscovlm",
            "roles": ["data", "labels"],
        }
        assets = {key: _moved(one, path.parent, place) for key, one in item["assets"].items()}
        links = [_moved(link, path.parent, place) for link in item.get("links", ()) if link.get("rel") != "self"]
        links.append({"rel": "derived_from", "href": _relative(path, place), "type": "application/geo+json"})
        text = json.dumps({**item, "assets": {**assets, ASSET: made}, "links": links}, ensure_ascii=False, indent=1)
        write_text(place / f"{stem}.json", text + "\n", overwrite=True)
        count += 1
    return count


def _answered(
    sources: Mapping[str, tuple[Path, dict[str, Any]]], rows: Mapping[str, dict[str, Any]]
) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    for name, row in rows.items():
        if name in sources and "objects" in row:
            yield (name, *sources[name])


def _moved(one: Any, old: Path, new: Path) -> Any:
    """Return an asset or a link whose relative address is followed from another folder; addresses of the net stay."""
    href = one.get("href") if isinstance(one, dict) else None
    if not isinstance(href, str) or ":" in href.split("/")[0] or href.startswith("/"):
        return one
    return {**one, "href": _relative(old / href, new)}


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
