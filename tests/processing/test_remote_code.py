"""A saved folder where rscovlm is not installed: our classes by trust_remote_code, stock ones without it."""

import ast
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from PIL import Image

from rscovlm.processing import RSCoVLMImageProcessor, RSCoVLMProcessor, chat_template
from rscovlm.processing.bundle import bundle
from rscovlm.processing.tokenizer import build_tokenizer
from rscovlm.training.tiny import build_model


def fresh(code: str, tmp_path: Path) -> list[str]:
    """Run code in a new interpreter that cannot import rscovlm and return the lines it printed."""
    environment = {
        **os.environ,
        "HF_HOME": str(tmp_path / "hub"),
        "HF_MODULES_CACHE": str(tmp_path / "modules"),
        "HF_HUB_OFFLINE": "1",
    }
    environment.pop("PYTHONPATH", None)
    hidden = f"import sys; sys.modules['rscovlm'] = None; root = {str(tmp_path)!r}\n"
    command = [sys.executable, "-c", hidden + code]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def save(folder: Path, *, model: bool, family: str = "qwen2_5_vl") -> Any:
    tokenizer = build_tokenizer(["find the plane 1234567890"])
    processor = RSCoVLMProcessor(RSCoVLMImageProcessor.for_family(family), tokenizer)
    if model:
        build_model(tokenizer, family=family).save_pretrained(folder)  # type: ignore[arg-type]
    processor.save_pretrained(folder)
    return processor


def test_our_classes_by_remote_code(tmp_path: Path) -> None:
    processor = save(tmp_path / "alone", model=False)
    save(tmp_path / "full", model=True)
    code = """
sys.modules["torch"] = None  # none is needed
from transformers import AutoProcessor, AutoImageProcessor
from PIL import Image
for name in ("alone", "full"):
    p = AutoProcessor.from_pretrained(f"{root}/{name}", trust_remote_code=True)
    chat = [{"role": "user", "content": [{"type": "image", "image": Image.new("RGB", (300, 200), (9, 99, 199))}]}]
    out = p.apply_chat_template(chat, tokenize=True, return_dict=True, return_tensors="np")
    p.save_pretrained(f"{root}/{name}/again")
    q = AutoProcessor.from_pretrained(f"{root}/{name}/again", trust_remote_code=True)
    i = AutoImageProcessor.from_pretrained(f"{root}/{name}", trust_remote_code=True)
    print(type(p).__module__.split(".")[0], type(p).__name__, type(q).__name__, type(i).__name__, q.budget.to_dict() == p.budget.to_dict())
    print(out["input_ids"].tolist(), out["image_grid_thw"].tolist(), round(float(out["pixel_values"].sum()), 2))
    try:
        p.codec
    except ImportError as error:
        print(error)
"""
    printed = fresh(code, tmp_path)
    chat = [{"role": "user", "content": [{"type": "image", "image": Image.new("RGB", (300, 200), (9, 99, 199))}]}]
    out = processor.apply_chat_template(chat, tokenize=True, return_dict=True, return_tensors="np")
    total = round(float(out["pixel_values"].sum()), 2)
    assert printed[:3] == printed[3:]
    assert printed[0] == "transformers_modules RSCoVLMProcessor RSCoVLMProcessor RSCoVLMImageProcessor True"
    assert printed[1] == f"{out['input_ids'].tolist()} {out['image_grid_thw'].tolist()} {total}"
    assert printed[2] == "boxes in answers are read by the package itself: pip install rscovlm"


def test_tools_that_do_not_know_us_get_stock_classes_and_run_nothing_unasked(tmp_path: Path) -> None:
    save(tmp_path / "alone", model=False)
    for family in ("qwen2_5_vl", "qwen3_vl"):
        save(tmp_path / family, model=True, family=family)
    code = """
import transformers
chosen = []
for name in ("Qwen2_5_VLProcessor", "Qwen3VLProcessor"):
    # Stops where the stock class would make its video processor, which it cannot without torchvision.
    stop = classmethod(lambda cls, *args, **kwargs: chosen.append(cls.__name__))
    getattr(transformers, name)._get_arguments_from_pretrained = stop
for family in ("qwen2_5_vl", "qwen3_vl"):
    try:
        transformers.AutoProcessor.from_pretrained(f"{root}/{family}")
    except TypeError:
        pass
    image = transformers.AutoImageProcessor.from_pretrained(f"{root}/{family}")
    model = transformers.AutoModelForImageTextToText.from_pretrained(f"{root}/{family}")
    tokenizer = transformers.AutoTokenizer.from_pretrained(f"{root}/{family}")
    print(chosen[-1], type(image).__name__, type(model).__name__, len(tokenizer.chat_template) > 100)
try:
    transformers.AutoProcessor.from_pretrained(f"{root}/alone", trust_remote_code=False)
except ValueError as error:
    print("custom code" in str(error))
"""
    assert fresh(code, tmp_path) == [
        "Qwen2_5_VLProcessor Qwen2VLImageProcessorPil Qwen2_5_VLForConditionalGeneration True",
        "Qwen3VLProcessor Qwen2VLImageProcessorPil Qwen3VLForConditionalGeneration True",
        "True",
    ]


def test_a_stock_checkpoint_keeps_its_stock_classes(tmp_path: Path) -> None:
    """With rscovlm imported, whether the checkpoint names its processor class or leaves it to the model type."""
    from transformers import AutoImageProcessor, AutoProcessor
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    tokenizer = build_tokenizer(["find the plane"])
    for named in (True, False):
        folder = tmp_path / str(named)
        build_model(tokenizer).save_pretrained(folder)
        tokenizer.chat_template = stock_template()
        tokenizer.save_pretrained(folder)
        Qwen2VLImageProcessorPil().save_pretrained(folder)
        if named:
            config = folder / "preprocessor_config.json"
            config.write_text(config.read_text().replace("{", '{"processor_class": "Qwen2_5_VLProcessor",', 1))
        assert type(AutoImageProcessor.from_pretrained(folder)) is Qwen2VLImageProcessorPil
        try:
            assert type(AutoProcessor.from_pretrained(folder)).__name__ == "Qwen2_5_VLProcessor"
        except (ImportError, AttributeError) as error:  # as without rscovlm: the stock class needs torchvision
            assert "orchvision" in str(error) or "_extra_content" in str(error)
        ours = RSCoVLMProcessor.from_pretrained(folder, codec="qwen2.5-vl")  # asked for by name, ours reads it
        assert ours.chat_template == chat_template()
        assert ours.codec.name == "qwen2.5-vl" and ours.budget.max_pixels == 28 * 28 * 1280


def test_a_template_with_other_words_is_kept(tmp_path: Path) -> None:
    save(tmp_path, model=True)
    config = tmp_path / "processor_config.json"
    config.write_text(config.read_text().replace('"codec"', '"other"'))
    for words in (stock_template().replace("You are", "I am"), "{{ raise_exception('no') }}"):
        (tmp_path / "chat_template.jinja").write_text(words)
        assert RSCoVLMProcessor.from_pretrained(tmp_path).chat_template == words


def stock_template() -> str:
    return files("trl").joinpath("chat_templates", "qwen2_5_vl.jinja").read_text(encoding="utf-8")


def test_the_bundle_defines_each_name_once_and_needs_no_package_of_ours() -> None:
    tree = ast.parse(bundle())
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert len(names) == len(set(names)) and {"RSCoVLMProcessor", "RSCoVLMImageProcessor"} <= set(names)
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert all(node.level == 0 and not str(node.module).startswith("rscovlm") for node in imports)
