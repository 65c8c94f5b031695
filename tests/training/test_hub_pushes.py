"""A run pushes what `rscovlm push model` pushes, with the same card, and loses nothing where the Hub fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from transformers.utils.hub import hf_api
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.hub import pull, push_model
from rscovlm.training.recipe import TrainingRecipe
from rscovlm.training.stages import prepare
from tests.hub.loopback import Hub, HubFault, reach, serving
from tests.training.conftest import recipe_of

TOKEN = "hf_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH"
PUSHING = {"push_to_hub": True, "hub_model_id": "me/run", "hub_token": TOKEN, "save_strategy": "steps", "save_steps": 2}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as found:
        found.token = TOKEN
        reach(found, monkeypatch)
        yield found


def _run(root: Path, output: Path, **train: object) -> object:
    recipe = recipe_of(root, steps=2)
    recipe["train"] |= {**PUSHING, **train}
    recipe["evaluation"] = {"subsets": [{"name": "held", "records": "scenes.jsonl"}], "count": 2, "every": 2}
    recipe["evaluation"]["max_new_tokens"] = 4
    return prepare(TrainingRecipe.from_dict(recipe), root=root, output=output)


def test_every_way_of_pushing_a_run_gives_the_same_card(hub: Hub, root: Path, tmp_path: Path) -> None:
    run = _run(root, tmp_path / "run")
    run.train()  # type: ignore[attr-defined]
    assert hub.commits[0]["summary"] == "Training in progress, step 2"
    assert hub.created[0]["visibility"] == "private"
    by_recipe = dict(hub.files["me/run"])
    run.trainer.push_to_hub()  # type: ignore[attr-defined]
    by_trainer = dict(hub.files["me/run"])
    hub.files.clear()
    push_model(tmp_path / "run", "me/run", token=TOKEN)
    by_function = hub.files["me/run"]
    assert by_recipe["README.md"] == by_trainer["README.md"] == by_function["README.md"]
    assert set(by_recipe) == set(by_trainer) == set(by_function)
    assert not [name for name in by_recipe if name.endswith((".bin", ".pt")) or "trainer" in name]
    everything = b"".join(by_recipe.values())
    assert TOKEN.encode() not in everything and str(tmp_path).encode() not in everything
    assert str(root).encode() not in everything
    card = by_recipe["README.md"].decode()
    head = yaml.safe_load(card.split("---")[1])
    names = {metric["name"] for result in head["model-index"][0]["results"] for metric in result["metrics"]}
    assert any(name.startswith("detection/") for name in names)
    assert "| learning_rate |" in card and "cpu (" in card and "2 steps" in card
    assert 'from_pretrained("me/run")' in card
    back = pull("me/run", tmp_path / "back", token=TOKEN)
    from transformers import AutoModelForImageTextToText, AutoProcessor

    assert type(AutoProcessor.from_pretrained(back)).__name__ == "RSCoVLMProcessor"
    assert AutoModelForImageTextToText.from_pretrained(back).config.model_type


def test_a_run_is_saved_where_the_hub_fails(hub: Hub, root: Path, tmp_path: Path) -> None:
    run = _run(root, tmp_path / "run")
    hub.faults = [HubFault("POST .*commit/main", "503", 99)]
    with pytest.raises(ConnectionError, match="me/run stopped") as caught:
        run.train()  # type: ignore[attr-defined]
    assert TOKEN not in str(caught.value) and not hub.files["me/run"]
    assert (tmp_path / "run" / "model.safetensors").is_file() and (tmp_path / "run" / "trainer_state.json").is_file()
    hub.faults.clear()
    push_model(tmp_path / "run", "me/run", token=TOKEN)
    assert "model.safetensors" in hub.files["me/run"]


def test_a_client_made_before_does_not_go_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    made = hf_api()
    with serving() as hub:
        with monkeypatch.context() as patched:
            reach(hub, patched)
            assert hf_api().endpoint == hub.address
        assert hf_api() is made


def test_states_that_are_pickles_are_never_pushed(hub: Hub, root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="optimiser's pickles"):
        _run(root, tmp_path / "run", hub_strategy="checkpoint")
    assert not hub.visits


def test_a_merged_adapter_tells_of_its_run(
    hub: Hub, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    recipe = recipe_of(root, steps=1, lora={"r": 4, "target_modules": r".*language_model.*\.(q_proj|v_proj)"})
    prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path / "run").train()
    alone = CliRunner().invoke(app, ["push", "model", str(tmp_path / "run"), "me/adapter"])
    assert alone.exit_code == 2 and "--merge" in alone.output and str(tmp_path) not in alone.output
    done = CliRunner().invoke(app, ["push", "model", str(tmp_path / "run"), "me/whole", "--merge"])
    assert done.exit_code == 0, done.output
    files = hub.files["me/whole"]
    assert "model.safetensors" in files and "adapter_config.json" not in files
    assert b"as an adapter, which is added into its weights" in files["README.md"] and "recipe.yaml" in files
