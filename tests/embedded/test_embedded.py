"""The embedded model loads as any checkpoint does and scores what its card says."""

import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest

from rscovlm.embedded import embedded_model
from rscovlm.engines import Transformers
from rscovlm.experiments.embedded import LAST, STAGES, build_mixture, scene_config
from rscovlm.experiments.scenes import Score, score_scenes
from rscovlm.experiments.tile_scores import TEST_SEED, Found, markdown_table, score_tiles

FOLDER = Path(embedded_model())


@pytest.fixture(scope="module")
def engine() -> Transformers:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    import rscovlm  # noqa: F401  registers the processor

    model: Any = AutoModelForImageTextToText.from_pretrained(FOLDER)
    return Transformers(model.eval(), AutoProcessor.from_pretrained(FOLDER), batch_size=48)


def test_it_is_a_plain_checkpoint_of_a_few_megabytes(engine: Transformers) -> None:
    assert type(engine.model).__module__.startswith("transformers.")
    assert engine.model.num_parameters() < 1_100_000
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) < 6_000_000
    assert {path.suffix for path in FOLDER.iterdir()} <= {".safetensors", ".json", ".jinja", ".md", ".py", ".txt", ""}


def test_a_fresh_sample_scores_what_the_card_says(engine: Transformers) -> None:
    kept = json.loads((FOLDER / "scores.json").read_text(encoding="utf-8"))
    card = {name: Score(**values) for name, values in kept["scores"].items()}
    # Other scenes than the card's, and fewer; four standard errors of both.
    again = score_scenes(engine, scene_config(STAGES[-1]), count=64, seed=kept["seed"] + 1)
    for name, score in again.items():
        share = min(max(card[name].value, 0.05), 0.95)
        error = (share * (1 - share) * (1 / score.items + 1 / card[name].items)) ** 0.5
        assert abs(score.value - card[name].value) < max(4 * error, 0.12), name


def test_tiles_and_harbours_score_what_the_card_says(engine: Transformers) -> None:
    kept = json.loads((FOLDER / "tile_scores.json").read_text(encoding="utf-8"))
    again = score_tiles(engine, 84, count=64, seed=TEST_SEED + 500)
    assert again.true > 25
    # Four standard errors of both.
    for name in ("precision", "recall"):
        share = min(kept["tiles of 84"][name], 0.95)
        error = (share * (1 - share) * (1 / again.true + 1 / kept["tiles of 84"]["true"])) ** 0.5
        assert abs(getattr(again, name) - kept["tiles of 84"][name]) < max(4 * error, 0.12), name
    assert again.ap > 0.7  # what tiles with up to twelve objects are to reach


def test_it_looks_and_does_not_guess(engine: Transformers) -> None:
    scores = score_scenes(engine, scene_config(STAGES[-1]), count=48, seed=99)
    for name in ("scene_class", "colour_one", "grounding_one", "grounding_several", "zoom_on"):
        assert scores[name].value > scores[name].baseline + 0.2, name
    assert scores["zoom_on"].value > scores["zoom_off"].value + 0.4


def test_the_card_states_every_score() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    kept = json.loads((FOLDER / "scores.json").read_text(encoding="utf-8"))
    for name, score in kept["scores"].items():
        assert f"| {name} | {score['value']:.3f} | {score['baseline']:.3f} |" in card, name
    tiles = json.loads((FOLDER / "tile_scores.json").read_text(encoding="utf-8"))
    assert markdown_table({name: Found(**values) for name, values in tiles.items()}) in card


def test_the_card_adds_the_seeds_up() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    kept = json.loads((FOLDER / "scores.json").read_text(encoding="utf-8"))["scores"]
    rows = re.findall(r"^\| (\w+) ((?:\| [0-9.]+ ){5})\|$", card, re.MULTILINE)
    # Colours were not measured before the stages that teach them.
    assert [name for name, _ in rows] == [name for name in kept if not name.startswith("colour")]
    for name, cells in rows:
        *seeds, mean, deviation = (float(cell) for cell in cells.split("|")[1:])
        assert abs(statistics.mean(seeds) - mean) < 0.0011, name
        assert abs(statistics.stdev(seeds) - deviation) < 0.0011, name


def test_the_last_stage_asks_questions_that_stand_alone() -> None:
    mixture = build_mixture((LAST,), seed=3)
    names = [mixture.subset_at(position) for position in range(2000)]
    weight = LAST.points + LAST.detects + LAST.empties + LAST.zooms + LAST.words
    assert abs(names.count("words") / len(names) - LAST.words / weight) < 0.03
    alone = [mixture[position] for position, name in enumerate(names) if name == "words"][:60]
    assert all([turn["role"] for turn in sample["messages"]] == ["user", "assistant"] for sample in alone)
    asked = {" ".join(sample["messages"][0]["content"][-1]["text"].split()[:2]) for sample in alone}
    openings = {"class": "What kind", "count": "How many", "presence": "Is there", "colour": "What colour"}
    assert asked == {openings[task] for task in LAST.tasks}
