"""``rscovlm export SOURCE TARGET``: a run or an adapter as a checkpoint that loads by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rscovlm.cli import choices
from rscovlm.cli.answers import CommandAnswer, answers
from rscovlm.cli.refusals import refusals


@answers
def export(
    source: Annotated[str, typer.Argument(help="Folder of a run, a checkpoint or an adapter.")],
    target: Annotated[Path, typer.Argument(help="Folder to write; new or empty.")],
    dtype: Annotated[str, choices.option(choices.DTYPES[1:], "Type of the weights.")] = "bfloat16",
) -> CommandAnswer:
    """Write a checkpoint that loads by itself; an adapter is added into the weights of its model."""
    with refusals("rscovlm export", extra="train"):
        if dtype not in choices.DTYPES[1:]:
            raise ValueError(f"dtype is {dtype!r}; give bfloat16, float16 or float32")
        from rscovlm.training.exporting import export as write

        written = write(source, target, dtype=dtype)
    return CommandAnswer({"folder": written, "dtype": dtype}, f"written: {written}")
