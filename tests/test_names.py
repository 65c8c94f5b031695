"""A class name occurs once in the package, so that a search for it ends at one definition."""

import ast
from collections import defaultdict
from pathlib import Path

import rscovlm

PACKAGE = Path(rscovlm.__file__).parent


def test_a_class_name_occurs_once() -> None:
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert len(places) > 300
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
