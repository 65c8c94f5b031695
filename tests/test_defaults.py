"""What a call does without an argument is part of what users build on: every public default is recorded.

Another default changes results that others compare with. Change it here on purpose, with a line in the changelog.
To record what was added: ``python -m tests.test_defaults``.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest

FLOORS = ("rasters", "records", "zoom", "data", "mixtures")
FILE = Path(__file__).with_name("defaults.json")


def defaults(floor: str) -> dict[str, dict[str, str]]:
    """Return the defaults of each public function, method and class of a floor that has any, as they are printed."""
    package = importlib.import_module(f"rscovlm.{floor}")
    found: dict[str, dict[str, str]] = {}
    for info in pkgutil.walk_packages(package.__path__, f"rscovlm.{floor}."):
        if any(part.startswith("_") for part in info.name.split(".")):
            continue
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            if not name.startswith("_") and getattr(value, "__module__", "") == info.name:
                for path, called in _called(name, value):
                    given = _given(called)
                    if given:
                        found[f"{info.name}.{path}"] = given
    return dict(sorted(found.items()))


def _called(name: str, value: Any) -> list[tuple[str, Any]]:
    if not inspect.isclass(value):
        return [(name, value)] if callable(value) else []
    methods = [(inner, method) for inner, method in vars(value).items() if not inner.startswith("_")]
    methods = [(inner, getattr(method, "__func__", method)) for inner, method in methods]
    return [(name, value), *((f"{name}.{inner}", method) for inner, method in methods if inspect.isfunction(method))]


def _given(called: Any) -> dict[str, str]:
    try:
        parameters = inspect.signature(called).parameters.values()
    except (TypeError, ValueError):
        return {}
    empty = inspect.Parameter.empty
    return {one.name: _printed(one.default) for one in parameters if one.default is not empty}


def _printed(value: Any) -> str:
    """Print a default without the place it has in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


@pytest.mark.parametrize("floor", FLOORS)
def test_defaults_stay_as_they_were_recorded(floor: str) -> None:
    recorded = json.loads(FILE.read_text(encoding="utf-8"))[floor]
    found = defaults(floor)
    # What is new may be recorded later: adding a metric, a source or an argument takes one file.
    kept = {name: {one: found.get(name, {}).get(one) for one in given} for name, given in recorded.items()}
    assert kept == recorded


if __name__ == "__main__":
    FILE.write_text(
        json.dumps({floor: defaults(floor) for floor in FLOORS}, indent=1, ensure_ascii=False) + "\n", "utf-8"
    )
