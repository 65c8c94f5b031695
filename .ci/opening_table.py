"""Prints how checkpoints that we save open in plain transformers: with and without rscovlm imported, and torchvision.

    python .ci/opening_table.py [PYTHON ...]

Each PYTHON is an interpreter with torch and transformers, with or without torchvision, and what rscovlm needs; by default
the one that runs this. Every cell is a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ASKED = (
    "AutoProcessor",
    "AutoImageProcessor",
    "AutoTokenizer",
    "AutoModelForImageTextToText",
    "pipeline, messages",
    "pipeline, images and text",
)
PROBE = """
import json, sys
folder, imported = sys.argv[1], sys.argv[2] == "imported"
if imported:
    import rscovlm
else:
    sys.modules["rscovlm"] = None
import transformers
from PIL import Image

transformers.logging.set_verbosity_error()
picture = Image.new("RGB", (90, 70), (9, 99, 199))

import os

adapter = os.path.isfile(os.path.join(folder, "adapter_config.json"))

def kind(one):
    whose = "ours" if type(one).__module__.startswith("rscovlm") else "stock"
    if adapter and hasattr(one, "generate"):
        return whose + (" with adapter" if getattr(one, "_hf_peft_config_loaded", False) else " without adapter")
    return whose

def auto(name):
    def load():
        found = getattr(transformers, name).from_pretrained(folder)
        assert name != "AutoProcessor" or hasattr(found, "image_processor"), "a " + type(found).__name__
        return kind(found)
    return load

def piped(**asked):
    def run():
        pipe = transformers.pipeline("image-text-to-text", model=folder)
        text = pipe(**asked, max_new_tokens=2, return_full_text=False)[0]["generated_text"]
        assert isinstance(text, str), text
        return kind(pipe.processor) + kind(pipe.model).removeprefix("stock") if adapter else kind(pipe.processor)
    return run

turn = {"role": "user", "content": [{"type": "image", "image": picture}, {"type": "text", "text": "hi"}]}
ways = {name: auto(name) for name in ("AutoProcessor", "AutoImageProcessor", "AutoTokenizer", "AutoModelForImageTextToText")}
ways["pipeline, messages"] = piped(text=[turn])
ways["pipeline, images and text"] = piped(images=picture, text="<|vision_start|><|image_pad|><|vision_end|>hi")
found = {}
for name in sys.argv[3:]:
    way = ways[name]
    try:
        found[name] = way()
    except ImportError as error:
        found[name] = "needs torchvision" if "orchvision" in str(error) else "ImportError: " + str(error)
    except Exception as error:
        found[name] = type(error).__name__ + ": " + " ".join(str(error).split())[:150]
print(json.dumps(found))
"""


def save_checkpoints(root: Path) -> dict[str, list[Path]]:
    """Save what is opened: whole checkpoints, one whose processor was saved first, and adapters of both families."""
    from rscovlm.loading import load
    from rscovlm.testing import tiny_adapter, tiny_checkpoint

    whole = [tiny_checkpoint(root / family, family) for family in ("qwen2_5_vl", "qwen3_vl")]
    model, processor = load(whole[0], device="cpu")
    processor.save_pretrained(root / "processor first")
    model.save_pretrained(root / "processor first")
    adapters = [tiny_adapter(root / f"{base.name} adapter", base) for base in whole]
    return {"a checkpoint": [*whole, root / "processor first"], "an adapter": adapters}


def opened(folder: Path, python: str, imported: bool, asked: tuple[str, ...] = ASKED) -> dict[str, str]:
    """Return, for each way asked of opening a folder in a new process, whose class came or what was raised."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [python, "-c", PROBE, str(folder), "imported" if imported else "alone", *asked]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def has_torchvision(python: str) -> bool:
    """Return whether an interpreter finds torchvision."""
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torchvision') is None)"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


def table(pythons: list[str], asked: tuple[str, ...] = ASKED) -> str:
    """Return the table in Markdown; where checkpoints differ, a cell says what each gave."""
    heads: list[str] = []
    columns: list[dict[str, list[dict[str, str]]]] = []
    with tempfile.TemporaryDirectory() as root:
        saved = save_checkpoints(Path(root))
        for imported in (False, True):
            for python in pythons:
                has = "torchvision" if has_torchvision(python) else "no torchvision"
                heads.append(f"{'after `import rscovlm`' if imported else 'plain'}, {has}")
                columns.append({what: [opened(one, python, imported, asked) for one in saved[what]] for what in saved})
    rows = [["", *heads], ["---"] * (len(heads) + 1)]
    for what, folders in saved.items():
        for way in asked:
            cells = [_cell(folders, [one[way] for one in column[what]]) for column in columns]
            called = f"`{way}`" if way.startswith("Auto") else f"`{way.partition(',')[0]}`{way[8:]}"
            rows.append([f"{what}: {called}", *cells])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cell(folders: list[Path], given: list[str]) -> str:
    alike = len(set(given)) == 1
    return given[0] if alike else "; ".join(f"{f.name}: {g}" for f, g in zip(folders, given, strict=True))


if __name__ == "__main__":
    print(table(sys.argv[1:] or [sys.executable]))
