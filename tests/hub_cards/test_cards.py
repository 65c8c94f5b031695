"""The metric Spaces' cards and files."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / "hub_cards"
NAMES = ("ap_nc", "acc_at_05", "lrs_vqa_aa")
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def _card(name: str) -> tuple[dict[str, Any], str]:
    text = (FOLDER / name / "README.md").read_text(encoding="utf-8")
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


@pytest.mark.parametrize("name", NAMES)
def test_front_matter_is_what_the_hub_wants_of_a_space(name: str) -> None:
    front, _ = _card(name)
    assert front["sdk"] == "gradio" and re.fullmatch(r"\d+\.\d+\.\d+", str(front["sdk_version"]))
    assert {front["colorFrom"], front["colorTo"]} <= COLOURS
    assert (FOLDER / name / front["app_file"]).is_file()
    assert {"evaluate", "metric"} <= set(front["tags"])
    assert front["license"] == "apache-2.0"
    assert front["title"] and len(front["emoji"]) <= 2 and front["description"]


@pytest.mark.parametrize("name", NAMES)
def test_a_space_is_complete(name: str) -> None:
    files = {path.name for path in (FOLDER / name).iterdir()}
    assert {"README.md", "app.py", "requirements.txt", f"{name}.py", f"test_{name}.py"} <= files
    _, body = _card(name)
    for heading in ("Description", "How to use", "Inputs", "Output", "Limitations", "Citation"):
        assert re.search(rf"^#+ {heading}$", body, re.MULTILINE), heading


@pytest.mark.parametrize("name", NAMES)
def test_the_card_loads_the_module_by_its_name(name: str) -> None:
    _, body = _card(name)
    code = re.search(r"```python\n(.*?)```", body, re.DOTALL)
    assert code is not None
    calls = [node for node in ast.walk(ast.parse(code.group(1))) if isinstance(node, ast.Call)]
    loaded = [call.args[0].value for call in calls if ast.unparse(call.func) == "evaluate.load"]  # type: ignore[attr-defined]
    assert loaded == [f"rscovlm/{name}"]
    module = ast.parse((FOLDER / name / f"{name}.py").read_text(encoding="utf-8"))
    imports = [ast.unparse(node) for node in module.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    # evaluate's scanner takes the rest of a line for the name of a package: one import a line.
    assert all("," not in line or "from" in line for line in imports)
    assert {"import datasets", "import evaluate"} <= set(imports)
