"""What `import rscovlm` loads and registers, in fresh interpreters."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rscovlm

ROOT = Path(__file__).parents[1]


def fresh(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_import_is_light_and_fast() -> None:
    code = """
import sys, time
started = time.process_time()
import rscovlm
print(time.process_time() - started)
print(*[name for name in ("torch", "transformers", "numpy", "PIL") if name in sys.modules])
"""
    seconds, *loaded = zip(*(fresh(code) for _ in range(3)), strict=True)
    assert min(map(float, seconds)) < 0.25
    assert loaded == []


def test_planning_boxes_and_codec_need_neither_torch_nor_transformers() -> None:
    code = """
import sys, rscovlm
rscovlm.plan_size(100, 100), rscovlm.Boxes, rscovlm.Codec, rscovlm.metrics, rscovlm.open_image
print("torch" in sys.modules, "transformers" in sys.modules)
"""
    assert fresh(code) == ["False", "False"]


ORDERS = {
    "rscovlm first": "import rscovlm, transformers",
    "transformers first": "import transformers; transformers.AutoProcessor, transformers.AutoImageProcessor; import rscovlm",
    "processor first": "from rscovlm.processing.processor import RSCoVLMProcessor",
    "image processor first": "from rscovlm.processing.image_processor import RSCoVLMImageProcessor",
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=list(ORDERS))
def test_auto_classes_know_ours_in_every_order(order: str) -> None:
    code = f"""
import sys
sys.modules["torch"] = None  # none is needed, and transformers starts four times as fast
{order}
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING as images
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING as processors
from transformers import Qwen2_5_VLConfig, Qwen3VLConfig
for config in (Qwen2_5_VLConfig, Qwen3VLConfig):
    print(processors[config].__name__, images[config]["pil"].__name__, images[config]["torchvision"].__name__)
"""
    assert fresh(code) == ["RSCoVLMProcessor", "RSCoVLMImageProcessor", "RSCoVLMImageProcessor"] * 2


def test_a_published_name_is_the_one_of_its_module() -> None:
    from rscovlm.geometry import Frame

    assert rscovlm.Frame is Frame
    assert {"Frame", "plan_size", "metrics"} <= set(dir(rscovlm))
    for package in (rscovlm, rscovlm.processing, rscovlm.training):
        with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
            getattr(package, "nonsense")  # noqa: B009


def test_everything_published_comes_with_a_star() -> None:
    for name in dir(rscovlm):
        getattr(rscovlm, name)  # each is there
    packages = [path.parent for path in Path(rscovlm.__file__).parent.rglob("__init__.pyi")]
    assert len(packages) > 5
    for folder in packages:
        package = importlib.import_module(
            ".".join(["rscovlm", *folder.relative_to(Path(rscovlm.__file__).parent).parts])
        )
        names = re.findall(r"import \w+ as (\w+)$", (folder / "__init__.pyi").read_text(encoding="utf-8"), re.MULTILINE)
        assert sorted(names) == package.__all__ and set(names) <= set(dir(package)), package.__name__
        for name in set(names) - {"VLLM"}:  # vLLM is not installed here
            assert getattr(package, name) is not None
    assert fresh("from rscovlm import *; print(ZoomChain.__name__, detect.__name__, callable(embedded_model))") == [
        "ZoomChain",
        "detect",
        "True",
    ]


def test_training_names_its_parts_and_loads_them_when_used() -> None:
    code = """
import sys
import rscovlm.training as training
print("torch" in sys.modules)
for name in training.__all__:
    assert getattr(training, name) is not None, name
print("torch" in sys.modules)
"""
    assert fresh(code) == ["False", "True"]
    code = """
import sys
sys.modules["torch"] = None
import rscovlm.training
try:
    rscovlm.training.isolate_samples
except ModuleNotFoundError as error:
    print(error)
"""
    assert " ".join(fresh(code)) == 'torch is not installed: pip install "rscovlm[train]"'
