"""Files with references to other files, sent and given everywhere that takes files: none is followed, and no model sees it.

`tests/rasters/test_references.py` has every reference; here are those that were followed once, by every way in.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rscovlm.data.sources import convert
from rscovlm.engines import Conversation
from rscovlm.predicting.items import find_items
from rscovlm.predicting.placed_rows import write_objects
from rscovlm.predicting.prediction import DefaultQuestion, predict
from rscovlm.processing import RSCoVLMImageProcessor
from rscovlm.records.record import ImageRef
from rscovlm.records.tally import Tally
from rscovlm.records.views import load_image
from tests.rasters.canaries import SECRET, Canaries, canaries
from tests.rasters.references import GEOTIFF, box, gml, jp2, metadata, multi_domain, tiff
from tests.serving.loopback import chat, served, user
from tests.zoom.scripted import Scripted

pytest.importorskip("rasterio")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canaries]:
    with canaries(tmp_path_factory.mktemp("canaries") / "private") as found:
        yield found


def planted(kept: Canaries) -> dict[str, bytes]:
    """Return files by name, each with another reference."""
    files = {}
    for k, target in enumerate(kept.targets()):
        items = [("OVERVIEWS", "OVERVIEW_FILE", target)]
        files[f"m{k}.tif"] = tiff(metadata(items))
        files[f"x{k}.jp2"] = jp2(box(b"xml ", multi_domain(items).encode()))
    for k, system in enumerate(kept.systems()):
        files[f"c{k}.tif"] = tiff(citation=f"ESRI PE String = {system}")
        files[f"u{k}.jp2"] = jp2(box(b"uuid", GEOTIFF + tiff(citation=f"ESRI PE String = {system}", key=2049)))
        files[f"g{k}.jp2"] = jp2(gml(system))
    return files


def looked(conversation: Conversation, turn: int) -> str:
    """Answer after a look at every picture that a model would see."""
    for image in conversation.images():
        assert not (np.asarray(image) == SECRET).any()
    return "0,0,504,504 ship\n" if turn else "grey"


def test_predict(kept: Canaries, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, data in planted(kept).items():
        (folder / name).write_bytes(data)
    items = find_items([folder])
    for k, asked in enumerate(
        (DefaultQuestion("ask", "What?"), DefaultQuestion("caption"), DefaultQuestion("detect", classes=("ship",)))
    ):
        out = tmp_path / f"{k}.jsonl"
        report = predict(Scripted(looked), items, asked, out)
        assert report["done"] == len(items)
    rows = {row["id"]: row for row in map(json.loads, out.read_text().splitlines()) if "id" in row}
    with contextlib.suppress(ValueError):
        write_objects(rows, tmp_path / "out.geojson")
    assert not kept.touched()


def test_serve(kept: Canaries) -> None:
    answers = []
    with served(Scripted(looked)) as server:
        for name, data in planted(kept).items():
            kind = "tiff" if name.endswith("tif") else "jp2"
            url = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
            status, _ = chat(server, user("What is there?", url))
            answers.append(status)
    assert answers.count(200) > len(answers) / 2
    assert not kept.touched()


def test_records_and_the_processor(kept: Canaries, tmp_path: Path) -> None:
    processor = RSCoVLMImageProcessor()
    for name, data in planted(kept).items():
        (tmp_path / name).write_bytes(data)
        for image in (ImageRef(path=name), ImageRef(data=data), ImageRef(parent=name, window=(8, 8, 120, 120))):
            shown = load_image(image, tmp_path, max_pixels=40_000)
            assert not (np.asarray(shown) == SECRET).any()
            processor([shown], return_tensors="np")
        if name.endswith("tif"):
            processor([str(tmp_path / name)], return_tensors="np")
    assert not kept.touched()


def test_labels_on_a_map_whose_system_names_a_file(kept: Canaries, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff())
    ring = [
        [500_010, 4_999_990],
        [500_050, 4_999_990],
        [500_050, 4_999_950],
        [500_010, 4_999_950],
        [500_010, 4_999_990],
    ]
    feature = {"properties": {"label": "tree"}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    for system in kept.systems() + kept.targets():
        content = {
            "type": "FeatureCollection",
            "crs": {"type": "name", "properties": {"name": system}},
            "features": [{"type": "Feature", **feature}],
        }
        (tmp_path / "a.geojson").write_text(json.dumps(content))
        tally = Tally(1.0)
        with contextlib.suppress(ValueError):  # raised where too much is left out, which is all there is
            list(convert("geojson", tmp_path, "train", tally=tally))
        assert sum(tally.dropped.values()) == 1
        assert not kept.touched(), system
