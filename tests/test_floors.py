"""Imports go down the floors only, and the lower floors stay light."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "rscovlm"
DESIGN = (PACKAGE.parent / "docs" / "design.md").read_text(encoding="utf-8")
FLOORS = re.findall(r"^\| `(\w+)` \|", DESIGN, re.MULTILINE)
"""From the ground up; a module may import from its own floor and from those before it."""


HEAVY = {"torch", "transformers", "trl", "peft", "accelerate", "datasets", "evaluate"}


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _modules() -> Iterator[tuple[str, str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if name not in ("__init__", "__main__"):
            yield name, str(path.relative_to(PACKAGE)), ast.parse(path.read_text(encoding="utf-8"))


def test_every_floor_of_the_page_is_there() -> None:
    assert len(FLOORS) == len(set(FLOORS)) > 10
    assert [name for name in FLOORS if not list(PACKAGE.glob(f"{name}*"))] == []


def test_imports_go_down() -> None:
    upward = []
    for floor, path, tree in _modules():
        assert floor in FLOORS, f"{path} is on no floor; give it one here and on the design page"
        for name in _imports(tree):
            parts = name.split(".")
            if parts[0] != "rscovlm" or len(parts) < 2 or parts[1] not in FLOORS:
                continue
            if FLOORS.index(parts[1]) > FLOORS.index(floor):
                upward.append(f"{path} imports {name}")
    assert not upward, "\n".join(sorted(set(upward)))


def test_the_lower_floors_load_nothing_heavy() -> None:
    loaded = []
    for floor, path, tree in _modules():
        if FLOORS.index(floor) >= FLOORS.index("processing"):
            continue
        for node in tree.body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                loaded += [f"{path} imports {name}" for name in _imports(node) if name.split(".")[0] in HEAVY]
    assert not loaded, "\n".join(loaded)


def test_nothing_unsafe_is_called() -> None:
    found = []
    for _, path, tree in _modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                shell = any(word.arg == "shell" for word in node.keywords)
                trusted = any(
                    word.arg == "trust_remote_code" and ast.unparse(word.value) == "True" for word in node.keywords
                )
                if (
                    name in {"eval", "exec", "pickle.loads", "pickle.load", "yaml.load", "os.system"}
                    or shell
                    or trusted
                ):
                    found.append(f"{path}:{node.lineno} calls {name}")
            if isinstance(node, ast.Assert):
                found.append(f"{path}:{node.lineno} asserts instead of raising an error that says what to do")
    assert not found, "\n".join(found)


def test_no_files_import_each_other_in_a_circle() -> None:
    """Imports inside functions count too; those for type checkers alone do not."""
    files = _files()
    graph = {name: {found for found in _imported(path, set(files)) if found != name} for name, path in files.items()}
    left = dict(graph)
    while True:
        free = {name for name, others in left.items() if not others & set(left)}
        if not free:
            break
        left = {name: others for name, others in left.items() if name not in free}
    while True:  # what only leads into a circle, or out of it, is none
        entered = {other for others in left.values() for other in others}
        outside = set(left) - entered
        if not outside:
            break
        left = {name: others for name, others in left.items() if name not in outside}
    assert {name: sorted(others & set(left)) for name, others in left.items()} == {}


def _files() -> dict[str, Path]:
    """Return the files that define something, by the name of their module."""
    return {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    }


def _imported(path: Path, known: set[str]) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in typing and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names & known
