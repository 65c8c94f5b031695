"""The recipe over all tasks trains, resumes and keeps what was known; its scores tell looking from guessing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rscovlm.codec import Codec
from rscovlm.codec.dialect import Dialect
from rscovlm.codec.point_objects import PointObject
from rscovlm.codec.set_of_points import SetOfPoints
from rscovlm.embedded import embedded_model
from rscovlm.engines.engine import Reply
from rscovlm.experiments.embedded import budget
from rscovlm.experiments.segmenting.again import again_table, measure_again
from rscovlm.experiments.segmenting.predicted import DRAWN, measure_predicted, unseen_scenes
from rscovlm.experiments.set_of_points.recipe import build_task_mixture, fixed_texts, load_widened, train_tasks
from rscovlm.experiments.set_of_points.scores import SHOWN, ControlledScore, score_task, table, task_samples
from rscovlm.loading import load_model, load_processor
from rscovlm.mixtures.scene_tasks import SCENE_TASKS
from rscovlm.points.segmenter import FilledShapes
from rscovlm.records.pictures import loaded
from rscovlm.scenes import Scene


def test_every_kind_is_drawn_and_fits_a_row() -> None:
    mixture = build_task_mixture(seed=1)
    names = {mixture.draw_at(position)[0] for position in range(400)}
    assert names == {subset.name for subset in mixture.subsets}
    kinds = {kind for subset in mixture.subsets for kind in getattr(subset.source, "kinds", ())}
    assert kinds == set(SCENE_TASKS)


def test_a_widened_model_writes_what_it_wrote() -> None:
    model, processor = load_widened(Path(embedded_model()))
    plain, old = load_model(embedded_model(), dtype="float32"), load_processor(embedded_model()).tokenizer
    text = "find the plane\n12,34,56,78 plane\nWhat colour is the ship?"
    ids = processor.tokenizer(text)["input_ids"]
    assert ids == old(text)["input_ids"]
    with torch.no_grad():
        both = [one(input_ids=torch.tensor([ids])).logits[0, :, : len(old)] for one in (model, plain)]
    assert torch.allclose(*both, atol=1e-4)
    for text in fixed_texts(Dialect.preset("rscovlm-v1")):
        assert len(processor.tokenizer(text)["input_ids"]) == 1, text
    answer = "[(10,40),(30,52)],[(20,46),(14,45)] plane\n"
    ids = processor.tokenizer(answer)["input_ids"]
    assert processor.tokenizer.decode(ids) == answer
    assert len(ids) < 0.8 * len(old(answer)["input_ids"])


def test_it_trains_and_resumes(tmp_path: Path) -> None:
    options: dict[str, Any] = {"falling": 2, "row": 400, "save_steps": 2, "logging_steps": 1}
    train_tasks(tmp_path, steps=2, **options)
    resumed = train_tasks(tmp_path, steps=3, resume=True, **options)
    losses = [entry["loss"] for entry in resumed.state.log_history if "loss" in entry]
    assert len(losses) == 3 and all(np.isfinite(losses))
    _, processor = load_widened(tmp_path)
    assert len(processor.tokenizer) == load_model(tmp_path, dtype="float32").get_input_embeddings().num_embeddings


class Seeing:
    """Answers with what is true of the image that it is shown, and of another image with nothing."""

    def __init__(self, samples: Sequence[Any]) -> None:
        self.codec, self.dialect, self.budget = Codec.preset("rscovlm-v1"), Dialect.preset("rscovlm-v1"), budget()
        self.known = {loaded(one["images"][-1]).tobytes(): one["messages"][-1]["content"][0]["text"] for one in samples}

    def generate(self, conversations: Sequence[Any], **_: Any) -> list[Reply]:
        images = [
            [
                block["image"]
                for turn in one.messages
                if turn["role"] == "user"
                for block in turn["content"]
                if "image" in block
            ][-1]
            for one in conversations
        ]
        return [Reply(self.known.get(image.tobytes(), "nothing")) for image in images]


@pytest.mark.parametrize("kind", ["classification", "segmentation", "change"])
def test_scores_fall_without_the_image(kind: str) -> None:
    samples = task_samples(kind, budget(), count=8, seed=3)
    found = score_task(Seeing(samples), samples)
    assert found.items == 8 and len(found.values) == len(SHOWN)
    assert found.values[0] > 0.8 and found.above
    assert found.values[2] < 0.5
    blind = Seeing(samples)
    blind.known = {}
    assert not score_task(blind, samples).above


def test_the_table_has_mean_and_spread() -> None:
    seeds = [{"change": ControlledScore("giou", (value, 0.5, 0.25), 96)} for value in (0.6, 0.8, 0.4)]
    assert (
        table(seeds).splitlines()[2]
        == "| change | giou | 0.600 ± 0.200 | 0.500 ± 0.000 | 0.250 ± 0.000 | 96 | 2 of 3 seeds |"
    )


class Boxes:
    """Detects the true objects of the scenes that it knows, as horizontal quadrilaterals."""

    def __init__(self, scenes: Sequence[Scene]) -> None:
        self.codec, self.dialect, self.budget = Codec.preset("rscovlm-v1"), Dialect.preset("rscovlm-v1"), budget()
        self.left = iter(scenes)

    def generate(self, conversations: Sequence[Any], **_: Any) -> list[Reply]:
        scenes = [next(self.left) for _ in conversations]
        return [Reply(self.codec.encode(scene.truth, scene.frame, kind="quad")) for scene in scenes]


def test_predicted_boxes_are_compared_object_by_object() -> None:
    scenes = unseen_scenes(6, 1)
    rows = measure_predicted(Boxes(scenes), FilledShapes(), scenes)
    assert [row.drawn for row in rows] == list(DRAWN)
    assert rows[0].objects == sum(len(scene.objects) for scene in scenes)
    # Filled boxes drawn again are the same boxes.
    assert all(row.iou == pytest.approx(rows[0].iou) and abs(row.gain) < 1e-9 for row in rows)
    with pytest.raises(ValueError, match="found objects are there"):
        measure_predicted(Boxes([]), FilledShapes(), [])


class Correcting:
    """Answers with boxes of which only the left half is right, and rightly where it is shown magenta masks."""

    def __init__(self, scenes: Sequence[Scene]) -> None:
        self.codec, self.dialect, self.budget = Codec.preset("rscovlm-v1"), Dialect.preset("rscovlm-v1"), budget()
        self.scenes, self.corrected = {scene.image.tobytes(): scene for scene in scenes}, 0
        self.scene = scenes[0]

    def generate(self, conversations: Sequence[Any], **_: Any) -> list[Reply]:
        replies = []
        for one in conversations:
            image, text = (block[block["type"]] for block in one.messages[-1]["content"])
            tinted = "magenta" in text
            self.corrected += tinted
            scene = self.scene if tinted else self.scenes[image.tobytes()]
            assert tinted != (image.tobytes() == scene.image.tobytes())
            self.scene = scene
            things = [thing for thing in scene.objects if not tinted or f"segment the {thing.label} again" in text]
            boxes = np.array([thing.hbb for thing in things]) if things else np.zeros((0, 4))
            if not tinted:
                boxes[:, 2] = (boxes[:, 0] + boxes[:, 2]) / 2
            objects = [
                PointObject.prompt(thing.label, box.tolist(), [box.reshape(2, 2).mean(axis=0)], scene.frame)
                for thing, box in zip(things, boxes, strict=True)
            ]
            replies.append(Reply(SetOfPoints(self.codec).encode(objects, scene.frame)))
        return replies


def test_what_correcting_brings_is_measured() -> None:
    scenes = [scene for scene in unseen_scenes(6, 1) if scene.objects]
    engine = Correcting(scenes)
    score = measure_again(engine, FilledShapes(), scenes, drawn="filled boxes")
    assert score.items == engine.corrected == sum(len({one.label for one in scene.objects}) for scene in scenes)
    assert score.again > 1.4 * score.first
    assert (
        again_table([score]).splitlines()[2].startswith(f"| filled boxes | {score.first:.3f} | {score.again:.3f} | +")
    )
    with pytest.raises(ValueError, match="0 classes to compare"):
        measure_again(engine, FilledShapes(), [], drawn="filled boxes")
