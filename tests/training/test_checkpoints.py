"""A checkpoint's folder gives the model that was trained, and the processor it was trained with."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from rscovlm.testing import tiny_checkpoint
from rscovlm.training.collator import Collator
from rscovlm.training.recipe import TrainingRecipe
from rscovlm.training.stages import prepare
from tests.training.conftest import recipe_of

LORA = {"r": 4, "target_modules": r".*language_model.*\.(q_proj|v_proj)"}


@pytest.mark.parametrize(
    ("family", "lora"), [("qwen2_5_vl", None), ("qwen3_vl", None), ("qwen2_5_vl", LORA), ("qwen3_vl", LORA)]
)
def test_the_folder_gives_what_was_trained(root: Path, tmp_path: Path, family: Any, lora: Any) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from rscovlm.engines import Conversation
    from rscovlm.engines.transformers import Transformers
    from rscovlm.loading import load_processor

    base = tmp_path / "base"
    tiny_checkpoint(base, family=family)
    recipe = recipe_of(root, model=str(base), steps=2, lora=lora)
    recipe["mixture"]["budget"]["factor"] = 28 if family == "qwen2_5_vl" else 32
    recipe["mixture"]["codec"] = "rscovlm-v1" if family == "qwen2_5_vl" else "qwen3-vl"
    recipe["train"] |= {"save_strategy": "steps", "save_steps": 2, "learning_rate": 1e-2}
    run = prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path / "out")
    run.train()
    for folder in (tmp_path / "out" / "checkpoint-2", tmp_path / "out"):
        # The folder of an adapter names the stock classes, for plain transformers (docs/checkpoints.md).
        processor: Any = AutoProcessor.from_pretrained(folder) if lora is None else load_processor(folder)
        assert processor.codec == run.trainer.processing_class.codec
        assert processor.image_processor.budget == TrainingRecipe.from_dict(recipe).mixture.budget
        model = AutoModelForImageTextToText.from_pretrained(folder, dtype="float32").eval()
        samples = [sample for row in range(2) for sample in run.trainer.train_dataset[row]["samples"]]
        batch = Collator(processor)(samples)
        batch.pop("labels")
        trained = run.trainer.model.eval()
        trained.set_attn_implementation({"text_config": "sdpa"})
        before = AutoModelForImageTextToText.from_pretrained(base, dtype="float32").eval()
        with torch.no_grad():
            logits, expected, untrained = (one(**batch, use_cache=False).logits for one in (model, trained, before))
        real = batch["attention_mask"].bool()
        assert torch.allclose(logits[real], expected[real], atol=1e-5)
        assert not torch.allclose(logits[real], untrained[real], atol=1e-3)
        question = {"role": "user", "content": [{"type": "image", "image": Image.new("RGB", (90, 60))}]}
        replies = Transformers(model, processor).generate([Conversation([question])], max_new_tokens=3)
        assert isinstance(replies[0].text, str)
