"""Test images that a model was trained on: the same file, or a picture that looks the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rscovlm.benchmarks.items import BenchmarkItem
from rscovlm.data.storage import read_records
from rscovlm.mixtures.recipe import MixtureRecipe
from rscovlm.quality.fingerprints import Print, fingerprint, near_pairs
from rscovlm.rasters.digests import content, digest_of
from rscovlm.records import ImageRef
from rscovlm.records.paths import resolve
from rscovlm.records.views import load_image
from rscovlm.settings.yamlfiles import read_yaml

Image = tuple[ImageRef, Path]

_PIXELS = 512 * 512
"""Fingerprints are taken of miniatures, so pictures are read at most this large."""


@dataclass(frozen=True)
class Leak:
    """A test image that was trained on.

    Attributes:
        image: The test image.
        trained: The image of training.
        how: ``"same file"`` or ``"looks the same"``.
        items: Questions of the benchmark about it.
    """

    image: str
    trained: str
    how: str
    items: int


def trained_images(source: Path, root: Path | None = None) -> Iterator[Image]:
    """Yield the images that a recipe, or a file or folder of records, trains on; each once.

    Args:
        source: A recipe of a run or of a mixture (YAML), a ``.jsonl`` file, a shard, or a folder of shards.
        root: Folder that a recipe's paths, or the images of records, are relative to; that of the source by default.

    Raises:
        ValueError: The source is no recipe and holds no records.
        FileNotFoundError: Records are not there.
    """
    if source.suffix.lower() in (".yaml", ".yml"):
        recipe: Any = read_yaml(source)
        mixture = MixtureRecipe.from_dict(recipe.get("mixture", recipe) if isinstance(recipe, dict) else recipe)
        base = root or source.parent
        for subset in mixture.subsets:
            records = base / subset.records
            images = base / subset.images if subset.images else records if records.is_dir() else records.parent
            yield from _once(records, images)
        return
    yield from _once(source, root or (source if source.is_dir() else source.parent))


def find_leaks(items: Sequence[BenchmarkItem], trained: Iterable[Image], *, looks: bool = True) -> list[Leak]:
    """Return the test images that are among those trained on; images that cannot be read are left out.

    Args:
        items: The benchmark.
        trained: What `trained_images` yields.
        looks: Also compare what the pictures look like: the same picture stored otherwise, or resized.
    """
    tests: dict[str, Image] = {}
    numbers: dict[str, int] = {}
    for item in items:
        for image in item.record.images:
            name = _name(image)
            tests.setdefault(name, (image, item.root))
            numbers[name] = numbers.get(name, 0) + 1
    digests = {digest: name for name, one in tests.items() if (digest := _digest(one))}
    prints: list[Print] = []
    names: list[str] = []
    for name, one in tests.items() if looks else ():
        _take(one, name, prints, names)
    of_tests = len(prints)
    leaks: dict[str, Leak] = {}
    for one in trained:
        found = digests.get(_digest(one))
        if found is not None:
            leaks.setdefault(found, Leak(found, _name(one[0]), "same file", numbers[found]))
        elif looks:
            _take(one, _name(one[0]), prints, names)
    kinds = ["test"] * of_tests + ["train"] * (len(prints) - of_tests)
    for first, second in near_pairs(prints[::-1], kinds=kinds[::-1]):
        # Reversed, so that each test image is compared with all of training: it comes later.
        mine, theirs = len(prints) - 1 - second, len(prints) - 1 - first
        if mine < of_tests <= theirs:
            name = names[mine]
            leaks.setdefault(name, Leak(name, names[theirs], "looks the same", numbers[name]))
    return [leaks[name] for name in tests if name in leaks]


def _once(records: Path, root: Path) -> Iterator[Image]:
    seen: set[str] = set()
    for record in read_records(records):
        for image in record.images:
            name = _name(image)
            if name not in seen:
                seen.add(name)
                yield image, root


def _name(image: ImageRef) -> str:
    if image.data is not None:
        return digest_of(image.data)[:16]
    return image.path or f"{image.parent}:{image.window}"


def _digest(image: Image) -> str:
    """Return a digest of a file; empty where it cannot be read, and for tiles, which are parts of one."""
    ref, root = image
    if ref.data is not None:
        return digest_of(ref.data)
    try:
        return content(resolve(root, ref.path)) if ref.path else ""
    except OSError:
        return ""


def _take(image: Image, name: str, prints: list[Print], names: list[str]) -> None:
    try:
        picture = load_image(*image, max_pixels=_PIXELS)
    except (ValueError, OSError, SyntaxError):  # Pillow tells a broken PNG by a SyntaxError
        return
    prints.append(fingerprint(picture))
    names.append(name)
