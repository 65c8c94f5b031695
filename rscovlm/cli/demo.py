"""``rscovlm demo``: the whole job in under three minutes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


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
    from rscovlm.demo.job import run_demo

    try:
        report = run_demo(out, image=image, question=question, seconds=seconds, seed=seed, say=typer.echo)
    except ValueError as error:
        typer.echo(f"rscovlm demo: {error}", err=True)
        sys.exit(2)
    typer.echo(f"Open {report}")
