"""``rscovlm demo``: the whole job in under three minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rscovlm.cli.refusals import refusals
from rscovlm.cli.terminal import say


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for the checkpoint, pictures, objects.geojson and report.html.")
    ] = Path("demo"),
    image: Annotated[
        Path | None, typer.Option(help="Your own image (GeoTIFF included) in place of the generated large scene.")
    ] = None,
    question: Annotated[str | None, typer.Option(help="What to ask about your own image.")] = None,
    seconds: Annotated[float, typer.Option(min=1, help="How long to fine-tune.")] = 60.0,
    seed: Annotated[int, typer.Option(help="Another seed, other scenes.")] = 0,
) -> None:
    """Make scenes, fine-tune the embedded model, measure it, ask about a large image, detect, and write a report."""
    with refusals("rscovlm demo", extra="demo"):
        from rscovlm.demo.job import run_demo

        report = run_demo(out, image=image, question=question, seconds=seconds, seed=seed, say=say)
    say(f"Open {report}")
