"""The tool that changes code at random: what it takes for noticed, survived and endless, in a package of one module."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]

MODULE = '''"""Sides of boxes."""


def sides(x1: int, y1: int, x2: int, y2: int) -> tuple[int, int]:
    """Width and height."""
    return x2 - x1, y2 - y1


def steps(count: int) -> int:
    left = count
    while left > 0:
        left -= 1
    return left
'''
TESTS = """
from boxes import sides, steps

def test_a_square_at_the_origin():
    assert sides(0, 0, 4, 4) == (4, 4)

def test_that_always_fails():
    assert steps(3) == 3

def test_it_ends():
    assert steps(3) == 0
"""
DRIVER = """
import json, sys
from pathlib import Path
from mutation.__main__ import Trials
from mutation.coverage_map import CoverageMap
from mutation.mutants import drawn
from mutation.results import table
from mutation.trial import prepare

root, way = Path(sys.argv[1]), sys.argv[3]
prepare(root, [])
tests = [f"test_boxes.py::{name}" for name in ("test_a_square_at_the_origin", "test_that_always_fails", "test_it_ends")]
seen = CoverageMap(root, root / "seen", ["boxes.py"], ["test_boxes.py"])
every = {"boxes.py": {test: list(range(1, 15)) for test in tests}}
seen.seen = {"test_boxes.py": {"seconds": dict.fromkeys(tests, 0.1), "failed": [], "lines": every, "outside": {}}}
kept, trials = root / "rows", Trials(root, seen, root / "log", limit=1, start=1.5)

def ended(mutant, outcome, by):
    row = {"floor": "toy", "where": mutant.where, "now": mutant.now, "outcome": outcome, "by": by}
    with kept.open("a") as lines:
        lines.write(json.dumps(row) + "\\n")

mutants = list(drawn(root, ["boxes.py"], sample=5, seed=sys.argv[2]))
if way != "imported":
    trials.quickly([(mutant, [*tests] if way == "swapped" else ["test_boxes.py"]) for mutant in mutants], ended)
else:
    for mutant in mutants:
        ended(mutant, *trials.outcome(mutant, tests))
rows = [json.loads(line) for line in kept.read_text().splitlines()]
print(json.dumps([rows, *table(rows, 95)]))
"""


@pytest.mark.parametrize("way", ["swapped", "near", "imported"])
def test_a_square_at_the_origin_does_not_notice_swapped_axes(way: str, tmp_path: Path) -> None:
    (tmp_path / "boxes.py").write_text(MODULE)
    (tmp_path / "test_boxes.py").write_text(TESTS)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".ci")}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(tmp_path), "4", way],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    rows, lines, good = json.loads(done.stdout)
    found = {row["now"]: (row["outcome"], row["by"]) for row in rows}
    by_value = ("noticed", "test_boxes.py::test_it_ends")
    assert found == {
        "return (y2 - y1, x2 - x1)": ("survived", ""),
        "return x2 - x1, ((y2) + (y1))": ("survived", ""),
        "while left > (-1):": by_value,
        "while ((left) <= (0)):": by_value,
        "pass": ("noticed", "no end"),
    }
    assert lines[-1] == "| toy | 5 | 0 | 3 | 2 | 60.0 |"
    assert not good
    # The module is as it was.
    assert (tmp_path / "boxes.py").read_text() == MODULE


def test_the_same_seed_draws_the_same_changes_and_docstrings_stay(tmp_path: Path) -> None:
    (tmp_path / "boxes.py").write_text(MODULE)
    script = """
import json, sys
from pathlib import Path
from mutation.equivalents import Equivalents
from mutation.mutants import drawn

draws = [[mutant.key for mutant in drawn(Path(sys.argv[1]), ["boxes.py"], sample=9, seed=seed)] for seed in "ab" "a"]
listed = Equivalents.read(Path(sys.argv[2]))
print(json.dumps([draws, listed.reason(draws[0][0])]))
"""
    (path, where, was, now), listed = ("boxes.py", "steps", "left -= 1", "left += 1"), tmp_path / "listed.yaml"
    row = {"path": path, "where": where, "was": was, "now": now, "reason": "none"}
    listed.write_text(json.dumps([row]))
    arguments = [sys.executable, "-c", script, str(tmp_path), str(listed)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".ci")}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    (first, other, again), reason = json.loads(done.stdout)
    assert first == again != other
    assert {key[1] for key in first} <= {"sides", "steps"}
    assert not any('"""' in key[2] for key in first + other)
    assert reason is None or first[0] == [path, where, was, now]


def test_members_in_another_order_are_no_change() -> None:
    script = """
import json
from mutation.mutants import Module

module = Module("a.py", "def known(x):\\n    return x in (1, 8), (x, 9)\\n")
print(json.dumps([mutant.now for where, place in module.places for mutant in module.mutants(where, place)]))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".ci")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert "return x in (1, (9)), (x, 9)" in found
    assert "return x in (1, 8), (9, x)" in found
    assert not any("(8, 1)" in now for now in found)


def test_what_reads_the_same_is_no_change() -> None:
    script = """
import json
from mutation.mutants import Module

module = Module("a.py", "def f(a, b):\\n    return zip((1, 1), b[0:], strict=True), a.sum(axis=(1, 2))\\n")
print(json.dumps([mutant.now for where, place in module.places for mutant in module.mutants(where, place)]))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".ci")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert any("((2), 1)" in now for now in found) and any("b[(1):]" in now for now in found)
    # Equal neighbours swapped, the 0 of a slice left out, axes in another order.
    unchanged = ("zip((1, 1), b[0:], strict=True), a.sum(axis=(1, 2))", "b[:]", "axis=(2, 1)")
    assert not any(text in now for now in found for text in unchanged)


def test_tests_elsewhere_are_found_by_what_calls_the_changed_function(tmp_path: Path) -> None:
    files = {
        "pack/sides.py": "def _wide(box):\n    return box[2] - box[0]\n\n\ndef area(box):\n    return _wide(box)\n",
        "pack/report.py": "from pack.sides import area\n\n\ndef table(boxes):\n    return [area(box) for box in boxes]\n",
        "pack/other.py": "def table_of_contents():\n    return []\n",
        "tests/test_report.py": "from pack.report import table\n",
        "tests/test_sides.py": "from pack import sides\n\nsides.area\n",
        "tests/test_other.py": "from pack.other import table_of_contents\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    script = """
import json, sys
from pathlib import Path
from mutation.elsewhere import Elsewhere

root = Path(sys.argv[1])
modules, tests = (sorted(str(file.relative_to(root)) for file in (root / name).glob("*.py")) for name in ("pack", "tests"))
seen = Elsewhere(root, modules, tests)
print(json.dumps([seen.files("pack/sides.py", "_wide"), seen.files("pack/report.py", "table")]))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".ci")}
    arguments = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [["tests/test_sides.py", "tests/test_report.py"], ["tests/test_report.py"]]


def test_every_equivalent_is_listed_with_its_reason_and_still_stands() -> None:
    # A line that was changed since is no equivalent any more.
    rows = yaml.safe_load((ROOT / ".ci" / "mutation" / "equivalents.yaml").read_text(encoding="utf-8")) or []
    for row in rows:
        assert set(row) == {"path", "where", "was", "now", "reason"}
        code = " ".join((ROOT / row["path"]).read_text(encoding="utf-8").split())
        assert row["was"] in code, f"{row['path']} no longer has {row['was']!r}; take it off the list"
        assert len(row["reason"].split()) > 3


def test_the_table_of_floors_names_what_there_is() -> None:
    floors = yaml.safe_load((ROOT / ".ci" / "mutation" / "floors.yaml").read_text(encoding="utf-8"))
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "mutants.yml").read_text(encoding="utf-8"))
    assert sorted(workflow["jobs"]["mutants"]["strategy"]["matrix"]["floor"]) == sorted(floors)
    for listed in floors.values():
        paths = [
            *listed["change"],
            *listed["tests"],
            *listed.get("left_out", []),
            *listed.get("unchanged", []),
            *listed.get("every", []),
        ]
        assert [path for path in paths if not (ROOT / path).exists()] == []
