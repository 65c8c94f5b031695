"""The experiments on learning run, resume, and compare what they say they compare."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from rscovlm.experiments.learning import empties, sizes, spaces, tasks
from rscovlm.experiments.learning.__main__ import CLAIMS, run_claim
from rscovlm.experiments.learning.report import markdown_table
from rscovlm.experiments.learning.runs import PIXELS, ArmRun, Measure
from rscovlm.exports.chart import draw
from rscovlm.geometry import Boxes, Frame
from rscovlm.mixtures.mixture import Mixture

ONE_STEP = 1 / 2400
from rscovlm.zoom.journal import Journal


def _run(arm: str, **values: float) -> ArmRun:
    return ArmRun("tasks", arm, 0, 1, 1.0, 0.5, {}, tuple(Measure(name, value, 8) for name, value in values.items()))


def test_an_experiment_runs_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    journal = tmp_path / "spaces.jsonl"
    measures = tuple(
        Measure(f"{name}, {what}", 0.5, 3) for name in ("mean IoU", "Acc@0.5") for what in ("learnt", "bound")
    )
    earlier = ArmRun("spaces", "0-100", 0, 1, 1.0, 0.5, {}, measures)
    with Journal(journal, kind="learning") as kept:
        kept.append([earlier.to_dict()])
    runs = run_claim(spaces.CLAIM, journal, 1, ONE_STEP, 3)
    assert runs[0] == earlier
    assert [(run.arm, run.steps) for run in runs] == [("0-100", 1), ("pixels", 1)]
    assert runs[1].loss > 0
    assert runs[1].value("Acc@0.75, bound") == 1.0
    header, *lines = journal.read_text(encoding="utf-8").splitlines()
    assert [ArmRun.from_dict(json.loads(line)) for line in lines] == runs
    assert run_claim(spaces.CLAIM, journal, 1, ONE_STEP, 3) == runs
    journal.write_text(f"{header}\n{lines[0]}\n", encoding="utf-8")
    assert run_claim(spaces.CLAIM, journal, 1, ONE_STEP, 3)[1].measures == runs[1].measures
    with pytest.raises(ValueError, match="with 1 steps, where --times 1 makes 2400; give another folder"):
        run_claim(spaces.CLAIM, journal, 1, 1.0, 3)
    assert "| mean IoU, learnt | 0.500 |" in markdown_table(runs)
    assert {ET.fromstring(one).tag for one in spaces.CLAIM.draw(runs).values()} == {"{http://www.w3.org/2000/svg}svg"}


def test_the_size_held_out_is_never_trained() -> None:
    arms = {arm.name: Mixture(arm.subsets([]), seed=0, length=200) for arm in sizes.CLAIM.arms}
    shown = {name: {mixture[place]["images"][0].size for place in range(60)} for name, mixture in arms.items()}
    assert shown == {"fixed": {(84, 84)}, "random": {(56, 56), (84, 84), (140, 140), (168, 168)}}


def test_dropping_leaves_no_empty_scene_and_keeping_leaves_its_share() -> None:
    counts = {}
    for arm in empties.CLAIM.arms:
        mixture = Mixture(arm.subsets([]), seed=0, length=1000)
        counts[arm.name] = sum(len(mixture[place]["truth"]) == 0 for place in range(100))
        names = [mixture.subset_at(place)[0].name for place in range(1000)]
        assert names.count("full") == (1000 if arm.name == "dropped" else 700)
    assert counts["dropped"] == 0
    assert 15 < counts["kept"] < 45


@pytest.mark.parametrize("length", [8.0, 16.0])
def test_a_fixed_space_loses_with_the_side_and_pixels_do_not(length: float) -> None:
    pixels, fixed = (
        [spaces.bound(codec, side, length, count=100) for side in (84, 336, 1008)] for codec in (PIXELS, spaces.FIXED)
    )
    assert max(pixels) - min(pixels) < 0.03
    assert fixed[0] > pixels[0]
    assert fixed[0] > fixed[1] + 0.05 > fixed[2] + 0.1


def test_what_is_written_moves_no_side_by_more_than_half_a_step() -> None:
    frame, rng = Frame(336, 28), np.random.default_rng(0)
    for _ in range(50):
        x, y, w, h = rng.uniform([0, 0, 8, 8], [300, 10, 16, 16])
        box = Boxes(np.array([[x, y, x + w, y + h]]), "hbb", frame)
        moved = np.abs(spaces.requantised(box, spaces.FIXED).coords - box.coords)
        assert (moved <= np.array([1.68, 0.14, 1.68, 0.14]) + 1e-9).all()


def test_weighting_raises_the_task_that_lags() -> None:
    done = [_run("pointing alone", pointing=0.8), _run("detection alone", detection=0.8)]
    done += [_run("counting alone", counting=0.0), _run("uneven", pointing=0.9, detection=0.6, counting=0.6)]
    weighted = next(arm for arm in tasks.CLAIM.arms if arm.name == "weighted")
    weights = {subset.name: subset.weight for subset in weighted.subsets(done)}
    assert weights["detection"] == pytest.approx(
        (1 + tasks.RATES["weighted"] * 0.25) / 6 * weights["pointing"], rel=1e-5
    )
    assert weights["pointing"] == weights["counting"]


def test_a_figure_shows_every_seed_and_needs_some() -> None:
    drawn = draw({"a & b": {"x": [0.2, 0.4], "y": [0.6]}, "c": {"y": [0.9]}}, title="t", across="u", joined=True)
    circles = [one for one in ET.fromstring(drawn).iter() if one.tag.endswith("circle")]
    assert len(circles) == 4
    heights = [float(one.attrib["cy"]) for one in circles]
    assert heights == sorted(heights, reverse=True)
    with pytest.raises(ValueError, match="no series has a value"):
        draw({"a": {}}, title="t", across="u")


def test_every_claim_has_arms_to_compare() -> None:
    assert set(CLAIMS) == {"sizes", "empties", "spaces", "tasks"}
    assert all(len({arm.name for arm in claim.arms}) == len(claim.arms) >= 2 for claim in CLAIMS.values())
