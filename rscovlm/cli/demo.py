"""``rscovlm demo``: the whole job in under three minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rscovlm.cli.answers import CommandAnswer, answers
from rscovlm.cli.refusals import refusals
from rscovlm.cli.terminal import ProgressBar, say


@answers
def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for the checkpoint, pictures, objects.geojson and report.html.")
    ] = Path("demo"),
    image: Annotated[
        Path | None, typer.Option(help="Your own image (GeoTIFF included) in place of the generated large scene.")
    ] = None,
    question: Annotated[str | None, typer.Option(help="What to ask about your own image; nothing without it.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps of the fine-tuning.")] = 320,
    seed: Annotated[int, typer.Option(help="Another seed, other scenes.")] = 0,
) -> CommandAnswer:
    """Make scenes, fine-tune the embedded model, measure it, ask about a large image, detect, and write a report."""
    with refusals("rscovlm demo", extra="demo"):
        from rscovlm.demo.job import run_demo

        progress = ProgressBar("fine-tuning step")
        report = run_demo(out, image=image, question=question, steps=steps, seed=seed, say=say, progress=progress)
    return CommandAnswer({"folder": out, "report": report}, f"Open {report}")
