"""Captions from the published layouts to figures, and figures of pooled statistics compared between runs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rscovlm.benchmarks.answers import merged_rows
from rscovlm.benchmarks.caption_scores import CaptionScorer
from rscovlm.benchmarks.conventions import CAPTIONS
from rscovlm.benchmarks.evaluation import BenchmarkRun, evaluate
from rscovlm.benchmarks.items import BenchmarkItem, load_items
from rscovlm.benchmarks.mask_scores import MaskScorer
from rscovlm.benchmarks.running import PlannedRun, compared, write_pages
from rscovlm.benchmarks.scoring import score_folder
from rscovlm.benchmarks.suite import Suite, load_suite
from rscovlm.codec import Codec
from rscovlm.engines import Conversation, Reply
from rscovlm.metrics import caption_scores, paired_test
from rscovlm.processing.resolution import PixelBudget
from tests.data.sources.layouts import picture, text

TRUE = ["Two ships lie at the pier.", "A road crosses bare land.", "Nothing but water.", "A harbour (with cranes)."]


class Telling:
    """Answers with sentences in turn, and keeps what it was asked."""

    def __init__(self, sentences: Sequence[str]) -> None:
        self.codec, self.budget = Codec.preset("rscovlm-v1"), PixelBudget(84 * 84, 84 * 84)
        self.sentences, self.asked = list(sentences), list[Conversation]()

    def generate(
        self, conversations: Sequence[Conversation], *, max_new_tokens: int = 1024, logprobs: bool = False
    ) -> list[Reply]:
        start = len(self.asked)
        self.asked += conversations
        return [Reply(self.sentences[(start + k) % len(self.sentences)]) for k in range(len(conversations))]


def _vrsbench(root: Path) -> tuple[Suite, list[BenchmarkItem]]:
    rows = []
    for number, sentence in enumerate(TRUE):
        picture(root, f"vrsbench/Images_val/{number}.png", 40, 30)
        about = {"image_id": f"{number}.png", "question_id": number, "question": "Describe.", "ground_truth": sentence}
        rows.append(about)
    text(root, "vrsbench/VRSBench_EVAL_Cap.json", rows)
    text(root, "vrsbench/VRSBench_EVAL_vqa.json", [])
    text(root, "vrsbench/VRSBench_EVAL_referring.json", [])
    suite = load_suite("vrsbench-cap")
    return suite, load_items(suite, root)


def test_captions_from_the_published_layout_to_figures(tmp_path: Path) -> None:
    suite, items = _vrsbench(tmp_path)
    told = ["Two ships lie at the pier.", "A road crosses a forest.", "", "Cranes at a harbour."]
    run = BenchmarkRun(suite)
    evaluate(Telling(told), run, items, tmp_path / "out")
    (score,) = score_folder(tmp_path / "out", repeats=50)
    theirs = caption_scores(told, TRUE)
    for rule in CAPTIONS:
        figure = score.figure("all", rule)
        assert figure is not None and figure.value == pytest.approx(theirs[rule]) and figure.value > 0
        assert figure.low is not None and figure.high is not None and figure.low <= figure.value <= figure.high
    assert score.counts["empty"] == 1 and score.counts["unparsed"] == 1
    assert score.constant["all"] < score.figures[0].value
    # The page begins with the worst caption and escapes what was written.
    (path,) = [
        one for one in write_pages(tmp_path / "out", [PlannedRun(run, items, items)], {}, 2) if one.suffix == ".html"
    ]
    page = path.read_text(encoding="utf-8")
    assert "Nothing but water." in page and "Two ships" not in page


def test_a_pair_is_asked_what_changed(tmp_path: Path) -> None:
    images = []
    for number in range(2):
        for side in "AB":
            picture(tmp_path, f"levir-cc/images/test/{side}/t_{number}.png", 32, 32)
        raw = [{"raw": f" a house appears in corner {number} ."}, {"raw": " one building is built ."}]
        images.append({"filename": f"t_{number}.png", "filepath": "test", "split": "test", "sentences": raw})
    text(tmp_path, "levir-cc/LevirCCcaptions.json", {"images": images})
    suite = load_suite("levir-cc")
    engine = Telling(["A house appears in corner 0."])
    evaluate(engine, BenchmarkRun(suite), load_items(suite, tmp_path), tmp_path / "out")
    (row, _) = merged_rows(tmp_path / "out", "levir-cc.as-is")
    assert row["truth"]["captions"] == ["a house appears in corner 0 .", "one building is built ."]
    assert "differ" in row["prompt"].lower() or "change" in row["prompt"].lower()
    pictures = [part for turn in engine.asked[0].messages for part in turn["content"] if part["type"] == "image"]
    assert len(pictures) == 2


def test_runs_of_captions_and_masks_are_compared(tmp_path: Path) -> None:
    suite, items = _vrsbench(tmp_path)
    for name, told in (("good", TRUE), ("poor", ["A road.", *TRUE[:1], "Water.", "Ships."])):
        evaluate(Telling(told), BenchmarkRun(suite), items, tmp_path / name)
    found = compared(tmp_path / "good", tmp_path / "poor", [suite])["vrsbench-cap.as-is"]["all"]
    assert found["difference"] > 0 and found["items"] == 4
    again = compared(tmp_path / "good", tmp_path / "good", [suite])["vrsbench-cap.as-is"]["all"]
    assert again["difference"] == 0 and again["p_value"] == 1


def test_pooled_pairs_are_those_of_the_general_test() -> None:
    rng = np.random.default_rng(3)
    image = np.repeat(np.arange(30), 2)
    true = rng.integers(20, 400, 60)
    sides = [np.minimum(true, (true * rng.beta(a, 2, 60)).astype(int)) for a in (5, 4)]
    scorers = [MaskScorer(("ciou",)) for _ in sides]
    for scorer, shared in zip(scorers, sides, strict=True):
        for place in range(60):
            row = {"item": str(place), "image": str(image[place]), "answer": "x"}
            scorer.add({**row, "shared": int(shared[place]), "union": int(true[place]), "true": int(true[place])})
    mine = scorers[0].table().paired(scorers[1].table(), "ciou", repeats=4000)["all"]

    def ciou(pairs: Sequence[tuple[int, int]]) -> float:
        return sum(a for a, _ in pairs) / sum(b for _, b in pairs)

    pairs = [list(zip(shared.tolist(), true.tolist(), strict=True)) for shared in sides]
    theirs = paired_test(ciou, *pairs, clusters=image.tolist(), repeats=4000, seed=1)
    assert mine["difference"] == pytest.approx(theirs["difference"])
    assert mine["p_value"] == pytest.approx(theirs["p_value"], abs=0.02)
    assert [mine["low"], mine["high"]] == pytest.approx([theirs["low"], theirs["high"]], abs=0.006)


def test_an_image_that_cannot_be_read_scores_nothing() -> None:
    scorer = CaptionScorer(("cider", "bleu1"))
    scorer.add({"item": "1", "image": "a", "answer": "a ship", "truth": {"captions": ["a ship", " "]}})
    scorer.add({"item": "2", "image": "b", "answer": "a road", "truth": {"captions": ["one road"]}})
    before = {figure.rule: figure.value for figure in scorer.figures(repeats=0)}
    scorer.add({"item": "3", "image": "c", "error": "no picture"})
    after = {figure.rule: figure.value for figure in scorer.figures(repeats=0)}
    assert after["cider"] == pytest.approx(before["cider"] * 2 / 3)
    assert scorer.counts["errors"] == 1
