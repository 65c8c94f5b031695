"""The recipes of the page of other tools, in those tools, where they are installed."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rscovlm.exports import to_coco, to_geojson
from rscovlm.geometry import Boxes, Frame, Objects

PAGE = (Path(__file__).parents[2] / "docs" / "interchange.md").read_text(encoding="utf-8")
FRAME = Frame(400, 300, root_to_world=(1e-5, 0, 15.0, 0, -1e-5, 48.0), crs="EPSG:4326")
FOUND = Objects(Boxes([[10, 20, 60, 50], [100, 100, 150, 180]], "hbb", FRAME), ("ship", "plane"))


def blocks(heading: str) -> list[str]:
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^```\w*\n(.*?)^```", section, re.DOTALL | re.MULTILINE)


def run(code: str, **names: Any) -> dict[str, Any]:
    exec(compile(code, "interchange.md", "exec"), names)  # noqa: S102  the page is ours
    return names


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_leafmap_takes_the_geojson(here: Path) -> None:
    pytest.importorskip("leafmap", reason="leafmap is not installed")
    to_geojson(FOUND, here / "found.geojson")
    names = run(blocks("leafmap")[0])
    features = names["m"].layers[-1].data["features"]
    assert [feature["properties"]["label"] for feature in features] == ["ship", "plane"]
    assert "Found" in (here / "found.html").read_text(encoding="utf-8")


def test_label_studio_takes_the_task_and_gives_the_boxes_back(here: Path) -> None:
    pytest.importorskip("label_studio_sdk", reason="label_studio_sdk is not installed")
    from label_studio_sdk.converter import Converter
    from label_studio_sdk.label_interface import LabelInterface

    config, code = blocks("Label Studio")
    coco = to_coco({"scene.tif": FOUND})
    task = run(code, coco=coco)["task"]
    (prediction,) = task["predictions"]
    assert LabelInterface(config).validate_prediction(prediction, return_errors=True) == []
    # As a person accepts it.
    done = {"id": 1, "data": task["data"], "annotations": [{"id": 1, "result": prediction["result"]}]}
    (here / "done.json").write_text(json.dumps([done]), encoding="utf-8")
    Converter(config=config, project_dir=".").convert_to_coco("done.json", "out", is_dir=False)
    back = json.loads((here / "out" / "result.json").read_text(encoding="utf-8"))
    names = {one["id"]: one["name"] for one in back["categories"]}
    assert [names[one["category_id"]] for one in back["annotations"]] == ["ship", "plane"]
    for mine, theirs in zip(coco["annotations"], back["annotations"], strict=True):
        assert theirs["bbox"] == pytest.approx(mine["bbox"])


def test_fiftyones_importer_reads_the_coco_file(here: Path) -> None:
    """The importer behind `Dataset.from_dir`; the data set itself is kept in MongoDB, which may be missing."""
    pytest.importorskip("fiftyone", reason="fiftyone is not installed")
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    import fiftyone
    from fiftyone.utils.coco import COCODetectionDatasetImporter

    (here / "images").mkdir()
    Image.new("RGB", (400, 300), (30, 90, 40)).save(here / "images" / "scene.png")
    (here / "coco.json").write_text(json.dumps(to_coco({"scene.png": FOUND})), encoding="utf-8")
    (call,) = [node for node in ast.walk(ast.parse(blocks("FiftyOne")[0])) if isinstance(node, ast.Call)]
    wanted = {str(word.arg): word.value for word in call.keywords}
    assert ast.unparse(wanted.pop("dataset_type")) == "fiftyone.types.COCODetectionDataset"
    assert fiftyone.types.COCODetectionDataset().get_dataset_importer_cls() is COCODetectionDatasetImporter
    with COCODetectionDatasetImporter(**{name: ast.literal_eval(value) for name, value in wanted.items()}) as importer:
        ((path, about, found),) = list(importer)
    assert Path(path).samefile(here / "images" / "scene.png") and (about.width, about.height) == (400, 300)
    assert [one.label for one in found.detections] == ["ship", "plane"]
    assert found.detections[0].bounding_box == pytest.approx([10 / 400, 20 / 300, 50 / 400, 30 / 300])
