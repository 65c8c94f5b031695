"""An adapter is merged, trained further and described by one command each, and what it computes does not change."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.training.recipe import TrainingRecipe
from rscovlm.training.run_card import write_card
from rscovlm.training.stages import prepare
from tests.training.conftest import recipe_of

LORA = {"r": 4, "target_modules": r".*language_model.*\.(q_proj|v_proj)"}


@pytest.fixture(scope="module")
def adapter(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that trained an adapter, and measured it."""
    folder = tmp_path_factory.mktemp("adapter") / "run"
    recipe = recipe_of(root, lora=LORA, steps=2)
    recipe["evaluation"] = {"subsets": [{"name": "held", "records": "scenes.jsonl"}], "count": 2, "every": 2}
    recipe["evaluation"]["max_new_tokens"] = 4
    run = prepare(TrainingRecipe.from_dict(recipe), root=root, output=folder)
    layers = run.trainer.model.config.get_text_config().num_hidden_layers
    assert f"the adapter reaches {2 * layers} modules: " in run.report.text()
    assert "layers.*.self_attn.q_proj" in run.report.text()
    run.train()
    return folder


def _logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model.eval()(input_ids=torch.arange(40)[None] + 30).logits
    return logits


def test_an_exported_adapter_is_a_checkpoint_that_computes_the_same(adapter: Path, root: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText, AutoProcessor

    done = CliRunner().invoke(app, ["export", str(adapter), str(tmp_path / "whole"), "--dtype", "float32"])
    assert done.exit_code == 0, done.output
    assert not (tmp_path / "whole" / "adapter_config.json").exists()
    whole = AutoModelForImageTextToText.from_pretrained(tmp_path / "whole", dtype="float32")
    base = AutoModelForImageTextToText.from_pretrained(root / "model", dtype="float32")
    plain = _logits(base)
    adapted = _logits(PeftModel.from_pretrained(base, str(adapter)))
    assert torch.allclose(_logits(whole), adapted, atol=1e-5)
    assert float((adapted - plain).abs().max()) > 1e-4
    assert type(AutoProcessor.from_pretrained(tmp_path / "whole")).__name__ == "RSCoVLMProcessor"
    again = CliRunner().invoke(app, ["export", str(adapter), str(tmp_path / "whole")])
    assert again.exit_code == 2
    assert "nothing is written over" in again.output


def test_training_goes_on_from_an_adapter(adapter: Path, root: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText

    run = prepare(TrainingRecipe.from_dict(recipe_of(root, model=str(adapter))), root=root, output=tmp_path)
    merged = AutoModelForImageTextToText.from_pretrained(adapter, dtype="float32")
    run.trainer.model.set_attn_implementation({"text_config": "sdpa"})
    assert torch.allclose(_logits(run.trainer.model), _logits(merged), atol=1e-5)
    assert all(weight.requires_grad for weight in run.trainer.model.parameters())


def test_an_adapter_is_trained_further_where_the_recipe_has_lora(adapter: Path, root: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    def opened(folder: Path) -> Any:
        base = AutoModelForImageTextToText.from_pretrained(root / "model", dtype="float32")
        return PeftModel.from_pretrained(base, str(folder))

    recipe = recipe_of(root, model=str(adapter), lora=LORA, steps=2)
    run = prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path / "further")
    run.trainer.model.set_attn_implementation({"text_config": "sdpa"})
    before = _logits(opened(adapter))
    assert torch.allclose(_logits(run.trainer.model), before, atol=1e-5)
    trained = [name for name, weight in run.trainer.model.named_parameters() if weight.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)
    prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path / "run").train()
    after = _logits(opened(tmp_path / "run"))
    assert float((after - before).abs().max()) > 1e-4
    assert not list((tmp_path / "run").glob("model*.safetensors"))
    with pytest.raises(ValueError, match=r"lora\.r is 8 and the adapter .* has 4; .*`rscovlm export"):
        prepare(TrainingRecipe.from_dict({**recipe, "lora": LORA | {"r": 8}}), root=root, output=tmp_path / "other")


def test_a_run_goes_on_for_more_steps(root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recipe = recipe_of(root, steps=2)
    recipe["train"] |= {"save_strategy": "steps", "save_steps": 2}
    prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path).train()
    with caplog.at_level(logging.INFO):
        run = prepare(TrainingRecipe.from_dict({**recipe, "steps": 4}), root=root, output=tmp_path, resume=True)
    assert "is of a run of 2 steps, which continues to 4" in caplog.text
    run.train()
    assert run.trainer.state.global_step == 4
    with pytest.raises(ValueError, match="belongs to another recipe .steps: 4 there, 3 here"):
        prepare(TrainingRecipe.from_dict({**recipe, "steps": 3}), root=root, output=tmp_path, resume=True)


def test_the_card_of_a_run_is_ours(adapter: Path, root: Path) -> None:
    text = (adapter / "README.md").read_text(encoding="utf-8")
    card = ModelCard(text)
    assert card.data.library_name == "peft"
    assert "None was" not in text
    assert "version of None" not in text
    assert str(root / "model") in text
    recipe = yaml.safe_load(text.split("```yaml")[1].split("```")[0])
    assert TrainingRecipe.from_dict(recipe).steps == 2
    assert "| 2 | detection/" in text
    for subset in recipe["mixture"]["subsets"]:
        assert f"| {subset['name']} | {subset['records']} |" in text


def test_a_card_of_somebody_else_stays(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Mine\n", encoding="utf-8")
    assert not write_card(tmp_path, base="a/b", adapter=False, steps=1)
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "# Mine\n"
    (tmp_path / "README.md").unlink()
    assert write_card(tmp_path, base="a/b", adapter=False, steps=1)
    assert write_card(tmp_path, base="a/b", adapter=False, steps=2)
    card = ModelCard((tmp_path / "README.md").read_text(encoding="utf-8"))
    assert card.data.base_model == "a/b"
