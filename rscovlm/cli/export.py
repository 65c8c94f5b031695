"""``rscovlm export SOURCE TARGET``: a run or an adapter as a checkpoint that loads by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rscovlm.cli.refusals import refusals
from rscovlm.cli.terminal import say


def export(
    source: Annotated[str, typer.Argument(help="Folder of a run, a checkpoint or an adapter.")],
    target: Annotated[Path, typer.Argument(help="Folder to write; new or empty.")],
    dtype: Annotated[str, typer.Option(help="Type of the weights: bfloat16, float16 or float32.")] = "bfloat16",
) -> None:
    """Write a checkpoint that loads by itself; an adapter is added into the weights of its model."""
    with refusals("rscovlm export", extra="train"):
        if dtype not in ("bfloat16", "float16", "float32"):
            raise ValueError(f"dtype is {dtype!r}; give bfloat16, float16 or float32")
        from rscovlm.training.exporting import export as write

        say(f"written: {write(source, target, dtype=dtype)}")
