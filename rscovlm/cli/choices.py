"""Options that take one of a few names: help shows them, shells complete them, and the library refuses others with the nearest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

import typer

KINDS = ("hbb", "obb", "quad")
MODES = ("native", "max")
STRETCHES = ("auto", "none", "percentiles", "log")
DTYPES = ("auto", "bfloat16", "float16", "float32")
FORMS = ("prompt", "polygon", "box")
POLICIES = ("call", "none", "tree", "grid", "assess", "branch", "vote", "distance")
LAYOUTS = ("reference", "native")
ENGINES = ("transformers", "server", "vllm")
PROGRAMS = ("lmms-eval", "vlmevalkit")
PUSHED = ("model", "dataset", "metric", "space")
PULLED = ("model", "dataset", "space")


def option(names: Iterable[str], help: str) -> Any:
    """Return an option that takes one of a few names.

    Args:
        names: The names.
        help: What the option does.

    >>> option(("a", "b"), "Which.").metavar
    '[a|b]'
    """
    return typer.Option(help=help, metavar=_shown(names), autocompletion=_completed(names))


def argument(names: Iterable[str], help: str) -> Any:
    """Return an argument that takes one of a few names; as `option`."""
    return typer.Argument(help=help, metavar=_shown(names), autocompletion=_completed(names))


def known(place: str) -> Callable[[str], list[str]]:
    """Return what completes a name that users may add to, such as a task, a suite or a dialect.

    Args:
        place: Module and function that returns the names, such as ``rscovlm.tasks.table:asked_tasks``; imported when a shell
            asks, since completing must not slow every command.

    >>> known("rscovlm.codec.dialect:presets")("rsc")
    ['rscovlm-v1']
    """
    module, _, function = place.partition(":")

    def complete(incomplete: str) -> list[str]:
        return [name for name in getattr(import_module(module), function)() if name.startswith(incomplete)]

    return complete


def _shown(names: Iterable[str]) -> str:
    return f"[{'|'.join(names)}]"


def _completed(names: Iterable[str]) -> Callable[[str], list[str]]:
    kept = tuple(names)

    def complete(incomplete: str) -> list[str]:
        return [name for name in kept if name.startswith(incomplete)]

    return complete
