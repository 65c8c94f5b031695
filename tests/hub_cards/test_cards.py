"""The metric Spaces' cards and files."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import rscovlm.metrics
from rscovlm.metrics import spaces
from rscovlm.metrics.picture import COLOURS
from rscovlm.metrics.spaces import NAMES
from rscovlm.metrics.spaces.files import metric_space, space_files
from rscovlm.metrics.spaces.page import legend_html

NAMED = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def _card(name: str) -> tuple[dict[str, Any], str]:
    _, front, body = space_files(name)["README.md"].split("---\n", 2)
    return yaml.safe_load(front), body


@pytest.mark.parametrize("name", NAMES)
def test_front_matter_is_what_the_hub_wants_of_a_space(name: str) -> None:
    front, _ = _card(name)
    assert front["sdk"] == "gradio" and re.fullmatch(r"\d+\.\d+\.\d+", str(front["sdk_version"]))
    assert {front["colorFrom"], front["colorTo"]} <= NAMED
    assert front["app_file"] in space_files(name)
    assert {"evaluate", "metric"} <= set(front["tags"])
    assert front["license"] == "apache-2.0"
    assert front["title"] == metric_space(name).title and len(front["emoji"]) <= 2 and front["description"]


@pytest.mark.parametrize("name", NAMES)
def test_a_space_is_complete(name: str) -> None:
    assert set(space_files(name)) == {"README.md", "app.py", "requirements.txt", f"{name}.py"}
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
    module = ast.parse(space_files(name)[f"{name}.py"])
    imports = [ast.unparse(node) for node in module.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    # evaluate's scanner takes the rest of a line for the name of a package: one import a line.
    assert all("," not in line or "from" in line for line in imports)
    assert {"import datasets", "import evaluate"} <= set(imports)


def test_a_metric_is_one_file_and_one_line() -> None:
    folder = Path(spaces.__file__).parent
    shared = {"__init__", "space", "citations", "files", "page"}
    assert {path.stem for path in folder.glob("*.py")} - shared == set(NAMES)
    for name in NAMES:
        texts = [path.read_text(encoding="utf-8") for path in folder.iterdir() if path.is_file() and path.stem != name]
        # Examples in docstrings may name one; code and templates know no metric's name but in the table.
        others = "".join(line for text in texts for line in text.splitlines() if ">>>" not in line)
        assert others.count(f'"{name}"') == 1, name


@pytest.mark.parametrize("name", NAMES)
def test_the_names_on_card_module_and_page_are_one(name: str) -> None:
    space, files = metric_space(name), space_files(name)
    camelcase_to_snakecase = pytest.importorskip(
        "datasets.naming", reason="the extra eval is not installed"
    ).camelcase_to_snakecase
    module = ast.parse(files[f"{name}.py"])
    (metric,) = [node for node in module.body if isinstance(node, ast.ClassDef)]
    assert camelcase_to_snakecase(metric.name) == name  # as evaluate makes the module's name
    assert re.search(rf"^# Metric card: {re.escape(space.title)}$", files["README.md"], re.MULTILINE)
    assert f'metric_page("{name}")' in files["app.py"] and space.title in files["app.py"]
    assert f"`rscovlm.metrics.{space.metric.__name__}`" in files["README.md"]
    assert getattr(rscovlm.metrics, space.metric.__name__) is space.metric


@pytest.mark.parametrize("name", NAMES)
def test_the_page_evaluates_its_example_and_its_legend_knows_every_mark(name: str) -> None:
    space = metric_space(name)
    rows, picture = space.page.evaluate(*space.page.example, space.page.choices[0], 0)
    assert rows and {len(row) for row in rows} == {len(space.page.headers)}
    marks = set(re.findall(r'class="(matched|missed|false)"', picture))
    assert marks <= set(space.page.legend) == {"matched", "missed", "false"}
    legend = legend_html(space.page)
    colours = [COLOURS[mark] for mark in space.page.legend]
    assert re.findall(r'stroke="(#\w+)"', legend) == colours and len(set(colours)) == 3
    for mark in marks:
        assert f'stroke="{COLOURS[mark]}"' in picture
