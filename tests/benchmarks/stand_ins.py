"""Generated stand-ins for the data of Tables I to V, in the layouts in which they are published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rscovlm.mixtures.scene_records import scene_questions
from rscovlm.scenes import Scene, SceneConfig, make_scene, make_zoom_scene
from tests.data.sources.layouts import chat, text

CLASSES = ("plane", "ship", "tank")
DOTA_NAMES = {"tank": "storage-tank"}


def write_all(root: Path, count: int = 4, seed: int = 11) -> Path:
    """Write all of them below a folder, some images a set."""
    rng = np.random.default_rng(seed)
    write_lrs_vqa(root / "lrs-vqa", rng, count)
    write_refgeo(root / "refGeo", rng, count)
    write_dota(root / "dota-v1.0", rng, count)
    write_geochat(root / "geochat-aid", rng, count, "aid.jsonl", "AID")
    write_geochat(root / "geochat-ucmerced", rng, count, "UCmerced.jsonl", "UCMerced_LandUse/Images")
    write_vhm(root / "vhm", rng, count)
    write_vrsbench(root / "vrsbench", rng, count)
    return root


def scene(rng: np.random.Generator, least: int = 1, most: int = 1) -> Scene:
    return make_scene(rng, SceneConfig(min_objects=least, max_objects=most, classes=CLASSES))


def save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def asked(made: Scene, task: Any) -> tuple[str, str]:
    (first, *_) = scene_questions(made, CLASSES, (task,))
    return first.text, first.answer


def write_lrs_vqa(root: Path, rng: np.random.Generator, count: int) -> None:
    rows = []
    for source in ("FAIR", "GLH-Bridge", "STAR"):
        for number in range(count):
            made = make_zoom_scene(rng, config=SceneConfig(classes=CLASSES))
            name = f"LRS_VQA/image/{source}_{number}.png"
            save(made.image, root / name)
            crop = [float(side) for side in made.pad.crop]
            row = {"image": name, "image_size": list(made.image.size), "hbox": crop}
            for category, words, answer in (
                ("object shape", made.question, made.answer),
                ("count", "How many planes are there?", "1"),
            ):
                question = {"question_id": f"{source}_{category}_{number}", "category": category, "text": words}
                rows.append({**row, **question, "ground_truth": answer})
    text(root, "LRS_VQA_merged.jsonl", rows)


def write_refgeo(root: Path, rng: np.random.Generator, count: int) -> None:
    for dataset, splits in (
        ("dior_rsvg", ("val", "test")),
        ("rsvg", ("val", "test")),
        ("geochat", ("test",)),
        ("vrsbench", ("test",)),
        ("avvg", ("test",)),
    ):
        for split in splits:
            rows = []
            for number in range(count):
                made = scene(rng)
                (question, *_) = scene_questions(made, CLASSES, ("grounding",))
                save(made.image, root / f"images/{dataset}/{split}_{number}.png")
                box = [float(side) for side in made.objects[question.objects[0]].hbb]
                row: dict[str, Any] = {"image_id": f"{split}_{number}.png", "dataset": dataset, "bbox": box}
                rows.append({**row, "question": question.phrase, "question_id": number})
            text(root, f"metainfo/{dataset}_{split}.jsonl", rows)


def write_dota(root: Path, rng: np.random.Generator, count: int) -> None:
    for number in range(count):
        made = scene(rng, 0 if number == 0 else 1, 0 if number == 0 else 2)
        save(made.image, root / f"val/images/P{number:04d}.png")
        lines = ["imagesource:GoogleEarth", "gsd:0.5"]
        for thing in made.objects:
            corners = " ".join(f"{value:.1f}" for value in np.asarray(thing.quad).ravel())
            lines.append(f"{corners} {DOTA_NAMES.get(thing.label, thing.label)} 0")
        path = root / f"val/labelTxt-v1.0/P{number:04d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")


def write_geochat(root: Path, rng: np.random.Generator, count: int, file: str, folder: str) -> None:
    rows = []
    for number in range(count):
        made = scene(rng)
        words, label = asked(made, "class")
        name = f"{label.title().replace(' ', '')}/{number}.png"
        save(made.image, root / folder / name)
        rows.append({"question_id": name, "image": name, "text": words, "ground_truth": label})
    text(root, file, rows)


def write_vhm(root: Path, rng: np.random.Generator, count: int) -> None:
    sets = {f"cls_{name}": "class" for name in ("AID", "METER_ML", "NWPU_RESISC45", "WHU_RS19")}
    sets |= {
        f"RSVQA_{name}_RSVQA": "presence"
        for name in ("HR-comp", "HR-presence", "LR-comp", "LR-presence", "LR-rural_urban")
    }
    for file, task in sets.items():
        rows = []
        for number in range(count):
            made = scene(rng)
            words, answer = asked(made, task)
            save(made.image, root / f"datasets_eval/{file}/{number}.png")
            ending = "\nAnswer with one word or short phrase." if task == "class" else ""
            row = {"id": number, "image": f"{number}.png", "image_path": file}
            rows.append({**row, "conversations": chat(f"{words}{ending}", answer)})
        text(root, f"datasets_eval/{file}.json", rows)


def write_vrsbench(root: Path, rng: np.random.Generator, count: int) -> None:
    rows = []
    for number in range(count):
        made = scene(rng)
        words, answer = asked(made, "colour")
        save(made.image, root / f"Images_val/{number}.png")
        rows.append({"image_id": f"{number}.png", "question": words, "ground_truth": answer, "question_id": number})
    text(root, "VRSBench_EVAL_vqa.json", json.loads(json.dumps(rows)))
