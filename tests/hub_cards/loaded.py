"""Run by the tests in a process of its own: what `evaluate`'s own test of every module asks of ours, printed as JSON."""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evaluate
from evaluate.loading import evaluation_module_factory, import_main_class

from rscovlm.metrics.spaces import NAMES
from rscovlm.metrics.spaces.files import metric_space

METRICS: dict[str, Callable[..., Any]] = {name: metric_space(name).metric for name in NAMES}


def main(folder: Path) -> None:
    """Load the modules under the names that their examples use."""
    (Path.cwd() / "rscovlm").symlink_to(folder)
    found = {}
    for name, metric in METRICS.items():
        module = importlib.import_module(evaluation_module_factory(f"rscovlm/{name}", module_type="metric").module_path)
        main_class: Any = import_main_class(module.__name__)
        given = inspect.signature(main_class._compute).parameters
        options = {key: one.default for key, one in given.items() if one.default is not inspect.Parameter.empty}
        own = inspect.signature(metric).parameters
        wanted = {key: one.default for key, one in own.items() if one.default is not inspect.Parameter.empty}
        ran = doctest.testmod(module)
        found[name] = {
            "open": [key for key, one in given.items() if one.kind is inspect.Parameter.VAR_KEYWORD],
            "same options": options == wanted,
            "failed": ran.failed,
            "attempted": ran.attempted,
            "name": evaluate.load(f"rscovlm/{name}").name,
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
