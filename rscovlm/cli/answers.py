"""What a command answers: text for a person or, with ``--json``, one JSON object on standard output and nothing else there."""

from __future__ import annotations

import functools
import inspect
import json
import math
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Annotated, Any, ParamSpec

import typer

from rscovlm.cli.terminal import lines_to_stderr, say

Given = ParamSpec("Given")

OPTION = "as_json"
"""Name of the parameter that every command with an answer takes."""


@dataclass(frozen=True)
class CommandAnswer:
    """What a command found out or did.

    Args:
        values: For programs: texts, numbers, paths, lists and mappings.
        text: The same for a person, as lines.
        code: Status that the command exits with.
    """

    values: Mapping[str, Any]
    text: str = ""
    code: int = 0


def answers(command: Callable[Given, CommandAnswer]) -> Callable[Given, None]:
    """Give a command ``--json``: its answer as one JSON object, while what it says on its way goes to standard error.

    A command that ends with a refusal writes nothing to standard output.

    Args:
        command: A function as typer takes it.
    """

    @functools.wraps(command)
    def run(*args: Given.args, **given: Given.kwargs) -> None:
        as_json = given.pop(OPTION, False)
        with lines_to_stderr() if as_json else nullcontext():
            answer = command(*args, **given)
        text = to_json(answer.values) if as_json else answer.text
        if text:
            say(text)
        if answer.code:
            raise typer.Exit(answer.code)

    option = Annotated[bool, typer.Option("--json", help="Print the answer as one JSON object, all else to stderr.")]
    # Evaluated here, where the names of the command's file are known: typer reads a signature that is set as it is.
    signature = inspect.signature(command, eval_str=True)
    added = inspect.Parameter(OPTION, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=option)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), added])  # type: ignore[attr-defined]
    run.__annotations__ = {name: one.annotation for name, one in signature.parameters.items()} | {OPTION: option}
    return run


def to_json(values: Any) -> str:
    r"""Write values as JSON in ASCII, which no terminal obeys; what is no number becomes null.

    Raises:
        TypeError: JSON knows no such value.

    >>> print(to_json({"share": float("nan"), "name": "a\x7f\u202e"}))
    {
     "share": null,
     "name": "a\u007f\u202e"
    }
    """
    return json.dumps(_plain(values), indent=1, allow_nan=False).replace("\x7f", "\\u007f")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
