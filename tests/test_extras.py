"""The extra named for a missing package is one that brings it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

from rscovlm.extras import EXTRAS, optional

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRA_LISTS = PROJECT["optional-dependencies"]
# Modules whose package has another name, those that transformers cannot do without, and what only its users have.
NAMES = {
    "PIL": "pillow",
    "yaml": "pyyaml",
    "tokenizers": "transformers",
    "safetensors": "transformers",
}


def brought(extra: str) -> set[str]:
    """Name the packages that an extra installs, those of the extras it includes too."""
    names: set[str] = set()
    for line in EXTRA_LISTS[extra]:
        included = re.match(r"rscovlm\[([\w,-]+)\]", line)
        if included is None:
            names |= set(re.findall(r"^[\w.-]+", line))
        else:
            names = names.union(*(brought(name) for name in included[1].split(",")))
    return names


@pytest.mark.parametrize("package", EXTRAS)
def test_the_extra_brings_the_package(package: str) -> None:
    assert package.replace("_", "-") in brought(EXTRAS[package])


def test_what_no_extra_brings_is_not_explained_away() -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'nonsense'"), optional():
        import nonsense  # type: ignore[import-not-found]  # noqa: F401


def test_what_is_imported_is_declared() -> None:
    known = {re.split(r"[^\w.-]", line)[0] for line in PROJECT["dependencies"]}.union(*map(brought, EXTRA_LISTS))
    undeclared = set()
    for path in (ROOT / "rscovlm").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for module in {name.partition(".")[0] for name in names} - {*sys.stdlib_module_names, "rscovlm"}:
                package = NAMES.get(module, module)
                if package is not None and not {package, package.replace("_", "-")} & known:
                    undeclared.add(f"{path.name} imports {module}")
    assert undeclared == set()
