"""A recipe file gives a mixture, or says what is wrong with it."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.data.storage import write_jsonl, write_parquet
from rscovlm.mixtures.balance import next_recipe, plot_weights, propose
from rscovlm.mixtures.recipe import MixtureRecipe, load_recipe
from rscovlm.records.record import ImageRef, Record


def _records(name: str, count: int) -> list[Record]:
    image = ImageRef("a.png", width=84, height=84)
    return [
        Record(str(i), name, "train", "vqa", (image,), question=f"{name} {i}?", answer=f"{name}-{i}")
        for i in range(count)
    ]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_jsonl(_records("talk", 30), tmp_path / "talk.jsonl")
    write_parquet(_records("wide", 50), tmp_path / "wide", shard_rows=20)
    Image.new("RGB", (84, 84)).save(tmp_path / "a.png")
    return tmp_path


RECIPE: dict[str, Any] = {
    "seed": 5,
    "subsets": [
        {"name": "talk", "records": "talk.jsonl", "weight": 3, "render": {"rephrase_rate": 0.0}},
        {"name": "wide", "records": "wide", "weight": 1, "images": "."},
    ],
}


def _answer(sample: dict[str, Any]) -> str:
    return str(sample["messages"][-1]["content"][0]["text"])


def test_a_recipe_draws_by_weight_and_repeats_itself(root: Path) -> None:
    (root / "recipe.yaml").write_text(yaml.safe_dump({"mixture": RECIPE}), encoding="utf-8")
    mixture = load_recipe(root / "recipe.yaml").build(root, length=2000)
    answers = [_answer(sample) for sample in mixture]
    assert Counter(answer.split("-")[0] for answer in answers) == {"talk": 1500, "wide": 500}
    again = load_recipe(root / "recipe.yaml").build(root, length=2000)
    assert [_answer(again[i]) for i in (1999, 3, 700)] == [answers[i] for i in (1999, 3, 700)]


def test_weights_change_where_the_schedule_says(root: Path) -> None:
    recipe = MixtureRecipe.from_dict({**RECIPE, "schedule": [{"at": 1000, "weights": {"talk": 0}}]})
    answers = [_answer(sample) for sample in recipe.build(root, length=2000)]
    assert Counter(a.split("-")[0] for a in answers[:1000]) == {"talk": 750, "wide": 250}
    assert Counter(a.split("-")[0] for a in answers[1000:]) == {"wide": 1000}


def test_epochs_end_a_subset_exactly(root: Path) -> None:
    talk, wide = RECIPE["subsets"]
    subsets = [talk | {"epochs": 2.5, "cap": 20}, wide | {"epochs": 40}]
    schedule = [{"at": 33, "weights": {"talk": 0.5}}, {"at": 1500, "weights": {"talk": 9}}]
    recipe = MixtureRecipe.from_dict({**RECIPE, "subsets": subsets, "schedule": schedule})
    answers = Counter(_answer(sample) for sample in recipe.build(root, length=2000))
    assert sorted(answers[f"talk-{i}"] for i in range(30)) == [0] * 10 + [2] * 10 + [3] * 10
    assert {answers[f"wide-{i}"] for i in range(50)} == {39}
    with pytest.raises(ValueError, match="completed their epochs by position 2050"):
        recipe.build(root, length=3000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sed": 1}, "unknown key 'sed'; did you mean 'seed'"),
        ({"subsets": []}, "no subsets"),
        ({"subsets": [{"name": "a"}]}, "subset 0 has no records"),
        ({"subsets": [{"name": "a", "records": "x", "wieght": 2}]}, "did you mean 'weight'"),
        ({"subsets": [{"name": "a", "records": "x", "render": {"json": 1}}]}, "did you mean 'json_rate'"),
        ({"schedule": [{"at": 5, "weights": {"tlak": 1}}]}, "did you mean 'talk'"),
        ({"schedule": [{"at": 5}]}, "schedule has no weights"),
        ({"budget": {"min_pixel": 5}}, "did you mean 'min_pixels'"),
        ({"seed": "five"}, "seed of the recipe is 'five'; give a whole number"),
        ({"tolerate": None}, "tolerate of the recipe is None; give a number"),
        ({"schedule": [{"weights": {"talk": 1}}]}, "has no at"),
        ({"schedule": [{"at": "5", "weights": {"talk": 1}}]}, "at of schedule is '5'; give a whole number"),
        ({"schedule": [{"at": 5, "weights": {"talk": "much"}}]}, "talk in weights of schedule is 'much'"),
        ({"schedule": [{"at": 5, "weights": ["talk"]}]}, "give keys and values"),
        ({"subsets": [{"name": "a", "records": "x", "weight": "much"}]}, "weight of subset 0 is 'much'; give a number"),
        ({"subsets": [{"name": "a", "records": "x", "cap": 1.5}]}, "cap of subset 0 is 1.5; give a whole number"),
        ({"subsets": [{"name": "a", "records": "x", "epochs": 0}]}, "epochs of 'a' is 0"),
        ({"subsets": [{"name": "a", "records": "x", "render": {"kinds": {"qaud": 1}}}]}, "did you mean 'quad'"),
        ({"subsets": {"name": "a"}}, "give a list"),
    ],
)
def test_a_wrong_recipe_is_told_what_is_wrong(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MixtureRecipe.from_dict({**RECIPE, **change})


def test_paths_stay_under_the_root(root: Path) -> None:
    subsets = [{"name": "a", "records": "../talk.jsonl"}]
    with pytest.raises(ValueError, match="climbs out"):
        MixtureRecipe.from_dict({"subsets": subsets}).build(root, length=10)


def test_balance_raises_what_lags_until_all_are_satisfied() -> None:
    weights = dict.fromkeys(["caption", "detection", "zoom"], 1.0)
    targets = {"caption": 0.8, "detection": 0.6, "zoom": 0.9}
    results = {"caption": 0.85, "detection": 0.2, "zoom": 0.8}
    first = propose(weights, results, targets)
    assert first.weights["detection"] > first.weights["zoom"] > first.weights["caption"]
    assert sum(first.weights.values()) == pytest.approx(3.0, abs=1e-5)
    assert not first.satisfied
    done = propose(first.weights, targets, targets)
    assert done.satisfied
    assert done.weights == pytest.approx(first.weights, abs=1e-5)
    with pytest.raises(ValueError, match="'zoom' has no result"):
        propose(weights, {"caption": 1, "detection": 1}, targets)


def test_rounds_of_balance_write_recipes_and_a_plot(root: Path) -> None:
    first, second, third = (root / f"round{number}.yaml" for number in range(3))
    first.write_text(yaml.safe_dump({"model": "m", "steps": 5, "mixture": RECIPE}), encoding="utf-8")
    proposal = next_recipe(first, {"talk": 0.9, "wide": 0.2}, {"talk": 0.9, "wide": 0.4}, second)
    assert yaml.safe_load(second.read_text(encoding="utf-8"))["model"] == "m"
    recipe = load_recipe(second)
    assert {subset.name: subset.weight for subset in recipe.subsets} == proposal.weights
    assert list(recipe.history) == [{"talk": 3, "wide": 1}]
    figures = root / "figures.yaml"
    figures.write_text("results: {talk: 0.9, wide: 0.4}\ntargets: {talk: 0.9, wide: 0.4}\n", encoding="utf-8")
    plot = root / "weights.svg"
    done = CliRunner().invoke(app, ["data", "balance", *map(str, (second, figures, third)), "--plot", str(plot)])
    assert done.exit_code == 0, done.output
    assert "every target is reached" in done.output
    assert len(load_recipe(third).history) == 2
    assert plot.read_text(encoding="utf-8").count("<polyline") == 2


def test_a_plot_needs_two_rounds_and_prints_names_as_text() -> None:
    with pytest.raises(ValueError, match="1 round of weights"):
        plot_weights([{"a": 1.0}])
    assert "<b>" not in plot_weights([{"<b>": 1.0}, {"<b>": 2.0}])
