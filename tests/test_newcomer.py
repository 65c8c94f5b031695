"""A newcomer's job: own files in three forms, by the commands of the documentation, to a model that was evaluated and predicts."""

from __future__ import annotations

import json
import math
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.data.storage import read_records

PAGE = Path(__file__).parents[1] / "docs" / "data.md"
COLOURS = {"barn": (190, 40, 40), "pool": (40, 120, 230), "silo": (220, 220, 220)}
Drawn = list[tuple[str, list[tuple[float, float]]]]


def drawn(rng: np.random.Generator, path: Path) -> Drawn:
    """Draw up to three turned rectangles on a picture whose ground is its own, write it, and return their corners."""
    width, height = [(320, 240), (500, 333), (256, 256)][int(rng.integers(3))]
    ground = rng.integers(60, 140, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    image = Image.fromarray(ground).resize((width, height))
    found: Drawn = []
    for place in range(int(rng.integers(4))):
        name = str(rng.choice(list(COLOURS)))
        half, angle = rng.integers(15, 30, 2) / 1.0, math.radians(int(rng.integers(80)))
        centre = (60 + 70 * place, int(rng.integers(60, height - 60)))
        corners = [(half[0] * x, half[1] * y) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        points = [
            (
                centre[0] + x * math.cos(angle) - y * math.sin(angle),
                centre[1] + x * math.sin(angle) + y * math.cos(angle),
            )
            for x, y in corners
        ]
        ImageDraw.Draw(image).polygon(points, fill=COLOURS[name])
        found.append((name, points))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return found


def write_coco(root: Path, rng: np.random.Generator, split: str, count: int) -> int:
    """Write pictures and a COCO file whose ids neither begin at one nor follow each other; return how many boxes it has."""
    content: dict[str, list[dict[str, object]]] = {"images": [], "annotations": []}
    content["categories"] = [{"id": 10 * place + 1, "name": name} for place, name in enumerate(COLOURS)]
    for number in range(count):
        path = root / "images" / split / f"{number:04d}.jpg"
        objects = drawn(rng, path)
        width, height = Image.open(path).size
        content["images"].append({"id": 100 + number, "file_name": path.name, "width": width, "height": height})
        for name, points in objects:
            xs, ys = zip(*points, strict=True)
            box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
            about = {"image_id": 100 + number, "category_id": 10 * list(COLOURS).index(name) + 1, "segmentation": []}
            content["annotations"].append({"id": len(content["annotations"]), "bbox": box, "iscrowd": 0, **about})
    path = root / "annotations" / f"instances_{split}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return len(content["annotations"])


def write_yolo(root: Path, rng: np.random.Generator, split: str, count: int) -> int:
    """Write pictures and label files of corners in shares of the sides; return how many boxes they have."""
    boxes = 0
    for number in range(count):
        path = root / "images" / split / f"{number}.png"
        objects = drawn(rng, path)
        width, height = Image.open(path).size
        lines = [
            f"{list(COLOURS).index(name)} " + " ".join(f"{x / width:.6f} {y / height:.6f}" for x, y in points)
            for name, points in objects
        ]
        label = root / "labels" / split / f"{number}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("\n".join(lines))
        boxes += len(lines)
    names = "".join(f"  {place}: {name}\n" for place, name in enumerate(COLOURS))
    (root / "data.yaml").write_text(f"path: .\ntrain: images/train\nval: images/val\nnames:\n{names}")
    return boxes


def write_chat(root: Path, rng: np.random.Generator, count: int) -> None:
    """Write conversations as OpenAI has them, each about a picture."""
    rows = []
    for number in range(count):
        pools = sum(name == "pool" for name, _ in drawn(rng, root / "images" / f"{number}.png"))
        ask = [
            {"type": "image", "image": f"images/{number}.png"},
            {"type": "text", "text": "How many pools are there?"},
        ]
        rows.append({"messages": [{"role": "user", "content": ask}, {"role": "assistant", "content": str(pools)}]})
    (root / "talks.jsonl").write_text("\n".join(map(json.dumps, rows)))


def blocks(kind: str) -> list[str]:
    """Return the code blocks of a kind in the section of the page that a newcomer follows."""
    section = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (text,) = (part for part in section if part.startswith("From your own files"))
    return [
        body
        for found, body in re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
        if found == kind
    ]


def test_three_forms_of_files_become_an_evaluated_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    mine = tmp_path / "mine"
    boxes = {split: write_coco(mine / "coco", rng, split, count) for split, count in (("train", 16), ("val", 4))}
    turned = {split: write_yolo(mine / "yolo", rng, split, count) for split, count in (("train", 16), ("val", 4))}
    write_chat(mine / "chat", rng, 12)
    (written,) = blocks("yaml")
    # The page's recipe with so few steps that it takes seconds.
    recipe = {**yaml.safe_load(written), "steps": 3}
    recipe["evaluation"] |= {"count": 4, "every": 3}
    (mine / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.chdir(tmp_path)
    said = {}
    for line in "".join(blocks("")).replace("\\\n", " ").splitlines():
        program, *arguments = shlex.split(line)
        assert program == "rscovlm"
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception!r}"
        said[" ".join(arguments)] = done.output
    converted = [text for line, text in said.items() if line.startswith("data convert")]
    assert [re.search(r"(\d+) rows: (\d+) kept, 0 dropped", text).groups() for text in converted] == [  # type: ignore[union-attr]
        (count, count) for count in ("16", "4", "16", "4", "12")
    ]
    for place, counts, kind in (("coco", boxes, "hbb"), ("yolo", turned, "quad")):
        for split, count in counts.items():
            objects = [item for record in read_records(mine / place / f"{split}.jsonl") for item in record.objects]
            assert len(objects) == count
            assert {item.kind for item in objects} == {kind}
    card = (tmp_path / "runs/mine/README.md").read_text(encoding="utf-8")
    assert "ap_nc50" in card
    assert "fine-tuned version of None" not in card
    # The first line is a header.
    rows = [json.loads(line) for line in (tmp_path / "runs/found.jsonl").read_text().splitlines()[1:]]
    assert sorted(Path(row["id"]).name for row in rows) == ["0.png", "1.png", "2.png", "3.png"]
    assert all(isinstance(row["objects"], list) for row in rows)
