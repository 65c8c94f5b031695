"""Referring segmentation from the published layout to figures under every name of an overlap."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rscovlm.benchmarks.answers import merged_rows
from rscovlm.benchmarks.conventions import MASKS
from rscovlm.benchmarks.evaluation import BenchmarkRun, evaluate
from rscovlm.benchmarks.items import load_items
from rscovlm.benchmarks.mask_scores import MaskScorer
from rscovlm.benchmarks.scoring import score_folder
from rscovlm.benchmarks.suite import load_suite
from rscovlm.benchmarks.worst_cases import worst_cases
from rscovlm.codec import Codec
from rscovlm.codec.point_objects import PointObject
from rscovlm.codec.set_of_points import SetOfPoints
from rscovlm.engines import Conversation, Reply
from rscovlm.geometry import Frame, PointSets
from rscovlm.geometry.masks import Mask
from rscovlm.metrics import change_score, mask_iou
from rscovlm.processing.resolution import PixelBudget
from tests.data.sources.layouts import picture, text

SUITE = load_suite("refsegrs")


class Boxing:
    """Answers every question with one box."""

    def __init__(self) -> None:
        self.codec, self.budget = Codec.preset("rscovlm-v1"), PixelBudget(84 * 84, 84 * 84)

    def generate(
        self, conversations: Sequence[Conversation], *, max_new_tokens: int = 1024, logprobs: bool = False
    ) -> list[Reply]:
        frame = Frame(84, 84)
        box = PointObject("road", "prompt", PointSets([[(21, 21), (63, 63)]], frame))
        answer = SetOfPoints(self.codec).encode([box], frame)
        return [Reply(answer) for _ in conversations]


def test_masks_from_the_published_layout_to_figures(tmp_path: Path) -> None:
    masks = []
    for number, (x1, y1, x2, y2) in enumerate([(10, 10, 30, 30), (0, 0, 20, 20), (10, 10, 20, 30)]):
        picture(tmp_path, f"refsegrs/images/{number}.tif", 40, 40)
        mask = np.zeros((40, 40), np.uint8)
        mask[y1:y2, x1:x2] = 1
        masks.append(mask)
        (tmp_path / "refsegrs/masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(tmp_path / f"refsegrs/masks/{number}.tif")
    text(tmp_path / "refsegrs", "output_phrase_test.txt", "".join(f"{k} road\n" for k in range(3)))
    items = load_items(SUITE, tmp_path)
    for control in ("", "no-image", "shuffled"):
        evaluate(Boxing(), BenchmarkRun(SUITE, control=control), items, tmp_path / "out")
    rows = list(merged_rows(tmp_path / "out", "refsegrs.as-is"))
    answer = np.zeros((40, 40), bool)
    answer[10:30, 10:30] = True
    assert [(row["shared"], row["union"]) for row in rows] == [
        (np.count_nonzero(answer & (mask > 0)), np.count_nonzero(answer | (mask > 0))) for mask in masks
    ]
    for row, mask in zip(rows, masks, strict=True):
        for counts, pixels in ((row["mask"], answer), (row["truth"]["mask"], mask > 0)):
            assert np.array_equal(Mask.from_rle({"size": [40, 40], "counts": counts}).full(), pixels)
    page = worst_cases(tmp_path / "out", "refsegrs.as-is", SUITE, items, count=2)
    overlaps = sorted(np.count_nonzero(answer & (mask > 0)) / np.count_nonzero(answer | (mask > 0)) for mask in masks)
    assert re.findall(r"IoU ([\d.]+)", page) == [f"{overlap:.2f}" for overlap in overlaps[:2]]
    assert page.count("data:image/jpeg") == 2
    theirs = mask_iou([answer] * 3, masks)
    scores = score_folder(tmp_path / "out", repeats=30)
    assert len(scores) == 3
    score = next(one for one in scores if not one.control)
    for rule in ("giou", "ciou", "miou"):
        figure = score.figure("all", rule)
        assert figure is not None and figure.value == pytest.approx(theirs[rule])
        assert figure.low is not None and figure.high is not None and figure.low <= figure.value <= figure.high


def test_overlaps_are_the_metrics_with_empty_masks_too() -> None:
    rng = np.random.default_rng(0)
    found = [rng.random((9, 9)) < share for share in rng.choice([0.0, 0.3, 0.8], 40)]
    true = [rng.random((9, 9)) < share for share in rng.choice([0.0, 0.5, 0.9], 40)]
    true[0] = found[0] = np.zeros((9, 9), bool)
    rules = MASKS
    scorer = MaskScorer(rules)
    for number, (a, b) in enumerate(zip(found, true, strict=True)):
        row = {"item": str(number), "image": str(number // 2), "answer": "x"}
        scorer.add(
            {**row, "shared": np.count_nonzero(a & b), "union": np.count_nonzero(a | b), "true": np.count_nonzero(b)}
        )
    figures = {figure.rule: figure.value for figure in scorer.figures(repeats=0)}
    theirs = mask_iou(found, true)
    assert figures == pytest.approx(
        {
            **{rule: theirs[rule] for rule in ("giou", "ciou", "miou")},
            "f1": change_score(found, true)["f1"],
            "precision>0.5": theirs["precision"][0.5],
            "precision>=0.5": theirs["precision_at_least"][0.5],
        }
    )
    nothing = mask_iou([np.zeros_like(mask) for mask in true], true)
    assert scorer.constant() == {"all": pytest.approx(nothing["giou"])} and nothing["giou"] > 0


def _changing(root: Path, number: int, box: tuple[int, int, int, int]) -> np.typing.NDArray[np.bool_]:
    for side in "AB":
        picture(root, f"levir-cd/test/{side}/{number}.png", 40, 40)
    mask = np.zeros((40, 40), np.uint8)
    x1, y1, x2, y2 = box
    mask[y1:y2, x1:x2] = 255
    (root / "levir-cd/test/label").mkdir(exist_ok=True)
    Image.fromarray(mask).save(root / f"levir-cd/test/label/{number}.png")
    return mask > 0


def test_change_from_the_published_layout_to_figures(tmp_path: Path) -> None:
    boxes = [(10, 10, 30, 30), (0, 0, 20, 20), (0, 0, 0, 0)]
    masks = [_changing(tmp_path, number, box) for number, box in enumerate(boxes)]
    suite = load_suite("levir-cd")
    items = load_items(suite, tmp_path)
    for control in ("", "no-image", "shuffled"):
        evaluate(Boxing(), BenchmarkRun(suite, control=control), items, tmp_path / "out")
    answer = np.zeros((40, 40), bool)
    answer[10:30, 10:30] = True
    scores = score_folder(tmp_path / "out", repeats=0)
    score = next(one for one in scores if not one.control)
    figure = score.figure("all")
    assert figure is not None and figure.rule == "f1"
    assert figure.value == pytest.approx(change_score([answer] * 3, masks)["f1"]) and 0 < figure.value < 1
    assert score.constant == {"all": 0.0}
    assert len(scores) == 3 and not score.counts["unparsed"]
