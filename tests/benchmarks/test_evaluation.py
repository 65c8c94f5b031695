"""Running: nothing lost or doubled by kills, torn lines, shards and errors; other data or settings are refused."""

import hashlib
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rscovlm.benchmarks.answers import answers_path, merged_rows, runs_of, settings_of
from rscovlm.benchmarks.controls import CONTROLS, shuffled
from rscovlm.benchmarks.evaluation import BenchmarkRun, evaluate
from rscovlm.benchmarks.items import BenchmarkItem, load_items
from rscovlm.benchmarks.report import to_markdown
from rscovlm.benchmarks.running import Job, run_jobs
from rscovlm.benchmarks.scoring import score_folder
from rscovlm.benchmarks.suite import load_suite
from rscovlm.codec import Codec
from rscovlm.engines import Conversation, Reply
from rscovlm.processing.resolution import PixelBudget
from tests.benchmarks.stand_ins import write_dota, write_lrs_vqa, write_refgeo

LRS = load_suite("lrs-vqa")


class Hashing:
    """Answers with a digest of what it is asked and shown, so that any mix-up of items shows."""

    def __init__(self, budget: PixelBudget | None = None) -> None:
        self.codec, self.budget = Codec.preset("rscovlm-v1"), budget or PixelBudget(784, 84 * 84)
        self.asked: list[Conversation] = []

    def generate(
        self, conversations: Sequence[Conversation], *, max_new_tokens: int = 1024, logprobs: bool = False
    ) -> list[Reply]:
        self.asked += conversations
        return [Reply(_digest(one)) for one in conversations]


def _digest(conversation: Conversation) -> str:
    found = hashlib.sha256(conversation.messages[-1]["content"][-1]["text"].encode())
    for image in conversation.images():
        found.update(np.asarray(image).tobytes())
    return found.hexdigest()[:12]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("stand-ins")
    rng = np.random.default_rng(3)
    write_lrs_vqa(root / "lrs-vqa", rng, 2)
    write_refgeo(root / "refGeo", rng, 2)
    write_dota(root / "dota-v1.0", rng, 3)
    return root


@pytest.fixture(scope="module")
def items(data: Path) -> list[BenchmarkItem]:
    return load_items(LRS, data)


def _rows(out: Path, run: BenchmarkRun) -> dict[str, str]:
    rows = list(merged_rows(out, run.name))
    assert len({row["item"] for row in rows}) == len(rows)
    return {row["item"]: row["answer"] for row in rows}


def test_rows_hold_all_that_a_figure_needs(items: list[BenchmarkItem], tmp_path: Path) -> None:
    run = BenchmarkRun(LRS, model="m")
    assert evaluate(Hashing(), run, items, tmp_path) == {"asked": 12, "before": 0, "errors": 0}
    assert evaluate(Hashing(), run, items, tmp_path) == {"asked": 0, "before": 12, "errors": 0}
    row = next(merged_rows(tmp_path, run.name))
    assert row["prompt"] and row["truth"]["answer"] and row["seen"] == [84, 84] and len(row["pixels"]) == 16
    settings = settings_of(answers_path(tmp_path, run.name, (1, 1)))
    assert settings["items"] == 12 and settings["fingerprint"] and settings["dialect"]["name"] == "rscovlm-v1"
    assert runs_of(tmp_path) == ["lrs-vqa.direct"]


@pytest.mark.parametrize("variant", ["direct", "zoom", "true-region"])
def test_each_way_of_asking_answers_every_item(variant: str, items: list[BenchmarkItem], tmp_path: Path) -> None:
    run = BenchmarkRun(LRS, variant)
    evaluate(Hashing(), run, items, tmp_path, batch=5)
    rows = list(merged_rows(tmp_path, run.name))
    assert len(rows) == len(items)
    looked = {row["within"] for row in rows if row.get("windows")}
    assert looked == ({"object shape"} if variant == "true-region" else set())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_a_killed_run_resumes_to_the_same_answers(items: list[BenchmarkItem], tmp_path: Path) -> None:
    run = BenchmarkRun(LRS)
    evaluate(Hashing(), run, items, tmp_path / "whole")
    wanted = _rows(tmp_path / "whole", run)
    for stop in range(1, 6):
        child = os.fork()
        if not child:
            evaluate(
                Hashing(),
                run,
                items,
                tmp_path / "killed",
                batch=1,
                progress=lambda done, _, stop=stop: os.kill(os.getpid(), signal.SIGKILL) if done >= 2 * stop else None,  # type: ignore[misc]
            )
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert len(_rows(tmp_path / "killed", run)) == 2 * stop
    evaluate(Hashing(), run, items, tmp_path / "killed", batch=3)
    assert _rows(tmp_path / "killed", run) == wanted


def test_a_file_cut_at_any_byte_resumes(items: list[BenchmarkItem], tmp_path: Path) -> None:
    run, few = BenchmarkRun(LRS), items[:3]
    evaluate(Hashing(), run, few, tmp_path / "whole")
    wanted = _rows(tmp_path / "whole", run)
    whole = answers_path(tmp_path / "whole", run.name, (1, 1)).read_bytes()
    header = whole.index(b"\n") + 1
    cuts = [0, 1, header - 1, header, *range(header + 1, len(whole), 173), len(whole) - 1]
    path = answers_path(tmp_path / "cut", run.name, (1, 1))
    path.parent.mkdir(parents=True)
    for cut in cuts:
        path.write_bytes(whole[:cut])
        counts = evaluate(Hashing(), run, few, tmp_path / "cut")
        assert counts["asked"] + counts["before"] == len(few)
        assert _rows(tmp_path / "cut", run) == wanted, cut


def test_shards_lose_and_double_nothing(items: list[BenchmarkItem], tmp_path: Path) -> None:
    run = BenchmarkRun(LRS)
    evaluate(Hashing(), run, items, tmp_path / "whole")
    for shard in ((1, 3), (3, 3)):
        evaluate(Hashing(), run, items, tmp_path / "parts", shard=shard)
    # Another number of shards goes on from what the first ones did.
    counts = [evaluate(Hashing(), run, items, tmp_path / "parts", shard=(number, 2)) for number in (1, 2)]
    assert sum(one["asked"] for one in counts) == len(items) // 3
    assert _rows(tmp_path / "parts", run) == _rows(tmp_path / "whole", run)


def test_an_item_in_two_shards_counts_once(items: list[BenchmarkItem], tmp_path: Path) -> None:
    run = BenchmarkRun(LRS)
    evaluate(Hashing(), run, items, tmp_path, shard=(1, 1))
    first = answers_path(tmp_path, run.name, (1, 1))
    answers_path(tmp_path, run.name, (1, 2)).write_bytes(first.read_bytes())
    assert len(_rows(tmp_path, run)) == len(items)


def test_other_settings_or_data_are_refused(items: list[BenchmarkItem], data: Path, tmp_path: Path) -> None:
    run = BenchmarkRun(LRS)
    evaluate(Hashing(), run, items[:2], tmp_path, whole=items)
    with pytest.raises(ValueError, match="budget, fingerprint"):
        evaluate(Hashing(PixelBudget()), run, items, tmp_path)
    with pytest.raises(ValueError, match="data, fingerprint, items"):
        evaluate(Hashing(), run, items[1:], tmp_path)
    with pytest.raises(ValueError, match="fellow shards"):
        evaluate(Hashing(PixelBudget()), run, items, tmp_path, shard=(2, 2))
    assert evaluate(Hashing(), run, items, tmp_path)["before"] == 2


def test_another_budget_is_refused_where_processing_is_elsewhere(data: Path, tmp_path: Path) -> None:
    suite = load_suite("rsvg-test")
    with pytest.raises(ValueError, match="50176 to 50176|784 to 50176"):
        evaluate(Hashing(), BenchmarkRun(suite, "224"), load_items(suite, data), tmp_path)
    assert not (tmp_path / "answers").exists()


def test_an_image_that_cannot_be_read_is_a_row_and_asked_again(data: Path, tmp_path: Path) -> None:
    items, run = load_items(LRS, data), BenchmarkRun(LRS)
    image = data / "lrs-vqa" / "LRS_VQA/image/FAIR_0.png"
    kept = image.read_bytes()
    image.write_bytes(b"no picture")
    try:
        assert evaluate(Hashing(), run, items, tmp_path)["errors"] == 2
    finally:
        image.write_bytes(kept)
    assert evaluate(Hashing(), run, items, tmp_path) == {"asked": 2, "before": 10, "errors": 0}
    assert len(_rows(tmp_path, run)) == len(items)


@pytest.mark.parametrize("name", ["lrs-vqa", "rsvg-test", "dota-v1.0-val"])
def test_controls_ask_the_same_about_no_image_or_another(name: str, data: Path, tmp_path: Path) -> None:
    suite = load_suite(name)
    items = load_items(suite, data)
    moved = shuffled(items)
    assert all(moved[item.id] != item.record.images for item in items)
    for control in CONTROLS:
        engine = Hashing()
        evaluate(engine, BenchmarkRun(suite, control=control), items, tmp_path)
        shown = [len(one.images()) for one in engine.asked]
        assert set(shown) == ({0} if control == "no-image" and name != "dota-v1.0-val" else {1})
    prompts = [
        {row["item"]: row["prompt"] for row in merged_rows(tmp_path, BenchmarkRun(suite, control=control).name)}
        for control in CONTROLS
    ]
    assert prompts[0] == prompts[1] and len(prompts[0]) == len(items)


def test_a_limit_is_the_same_part_everywhere(data: Path) -> None:
    some = [item.id for item in load_items(LRS, data, limit=5)]
    assert len(some) == 5 and some == [item.id for item in load_items(LRS, data) if item.id in some]
    assert set(some[:0] + [item.id for item in load_items(LRS, data, limit=3)]) <= set(some)


def test_converted_records_are_taken_where_they_lie(data: Path, tmp_path: Path) -> None:
    from rscovlm.data.sources import convert
    from rscovlm.data.storage import write_jsonl

    (tmp_path / "lrs-vqa").symlink_to(data / "lrs-vqa")
    write_jsonl(convert("lrs-vqa", data / "lrs-vqa", "test"), tmp_path / "lrs-vqa-test.jsonl")
    (tmp_path / "lrs-vqa-test.jsonl").write_text((tmp_path / "lrs-vqa-test.jsonl").read_text())
    assert [item.id for item in load_items(LRS, tmp_path)] == [item.id for item in load_items(LRS, data)]
    assert json.loads((tmp_path / "lrs-vqa-test.jsonl").read_text().splitlines()[0])["task"] == "vqa"


def test_confidences_become_accuracy_by_coverage(items: list[BenchmarkItem], tmp_path: Path) -> None:
    class Unsure(Hashing):
        def generate(
            self, conversations: Sequence[Conversation], *, max_new_tokens: int = 1024, logprobs: bool = False
        ) -> list[Reply]:
            found = super().generate(conversations)
            sure = [-0.1, -0.3] if logprobs else None
            # One reply in four of an engine that gives no probabilities.
            return [
                Reply(one.text, token_logprobs=sure if place % 4 else None, token_texts=["a", "b"])
                for place, one in enumerate(found)
            ]

    run = BenchmarkRun(LRS)
    evaluate(Unsure(), run, items, tmp_path, batch=12, confidence=True)
    rows = list(merged_rows(tmp_path, run.name))
    given = [row["confidence"] for row in rows if "confidence" in row]
    assert given == pytest.approx([np.exp(-0.2)] * 9, abs=1e-6)
    (score,) = score_folder(tmp_path, repeats=0)
    kept = score.details["selective"]
    assert kept["items"] == 9 and kept["without_confidence"] == 3 and set(kept["accuracy"]) >= {"50%", "100%"}
    assert "without confidence" in to_markdown([], [score])
    evaluate(Unsure(), run, items, tmp_path / "plain")
    assert "confidence" not in next(merged_rows(tmp_path / "plain", run.name))


def test_policies_are_ways_of_asking_of_their_own(data: Path, tmp_path: Path) -> None:
    before = Job([LRS], data, ["zoom"], 4, controls=False)
    job = before.with_policies(["vote", "none"])
    planned = job.plan()
    assert [one.run.variant for one in planned] == ["zoom", "zoom+vote", "zoom+none"]
    engine = Hashing()
    assert run_jobs(engine, planned, job, tmp_path, "m", lambda _: None) == 0
    rows = {name: list(merged_rows(tmp_path, f"lrs-vqa.{name}")) for name in ("zoom", "zoom+vote", "zoom+none")}
    votes = [row["calls"] for row in rows["zoom+vote"] if "calls" in row]
    assert votes and set(votes) == {5} and not any("calls" in row for row in rows["zoom"])
    assert all(row["windows"] == [] for row in rows["zoom+none"] if "windows" in row)
    scores = score_folder(tmp_path, suites=[LRS], repeats=0)
    assert sorted(score.variant for score in scores) == ["zoom", "zoom+none", "zoom+vote"]
    # Answers of before there were policies are resumed.
    asking = settings_of(answers_path(tmp_path, "lrs-vqa.zoom", (1, 1)))["asking"]
    assert "policy" not in asking and asking["looking"] == "chain"
    with pytest.raises(ValueError, match="--policy says where to look closer, and rsvg-test asks about the overview"):
        Job([load_suite("rsvg-test")], data).with_policies(["tree"])
    with pytest.raises(ValueError, match="policy is 'three'; did you mean 'tree'"):
        before.with_policies(["three"])
