"""``rscovlm predict``: files, folders or a manifest in, one JSON row an image out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rscovlm.cli.refusals import refusals
from rscovlm.cli.terminal import say


def predict(
    sources: Annotated[list[Path], typer.Argument(help="Images, folders of images, or .jsonl manifests.")],
    out: Annotated[Path, typer.Option(help="JSONL file; a second run goes on from it.")] = Path("predictions.jsonl"),
    task: Annotated[str, typer.Option(help="ask, detect, ground, classify, caption or count.")] = "ask",
    question: Annotated[str | None, typer.Option(help="What to ask about every image.")] = None,
    find: Annotated[list[str] | None, typer.Option(help="What to point at; may be repeated.")] = None,
    classes: Annotated[str | None, typer.Option(help="Class names, separated by commas.")] = None,
    geojson: Annotated[Path | None, typer.Option(help="Also write all objects as GeoJSON.")] = None,
    model: Annotated[str | None, typer.Option(help="Checkpoint; the embedded model's by default.")] = None,
    server: Annotated[
        list[str] | None, typer.Option(help="Ask OpenAI-compatible servers instead; their key: RSCOVLM_API_KEY.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Box kind: hbb, obb or quad.")] = None,
    tile: Annotated[int | None, typer.Option(min=1, help="Side of detection tiles in pixels.")] = None,
    zoom: Annotated[bool, typer.Option(help="Let the model look closer.")] = True,
    batch: Annotated[int, typer.Option(min=1, help="Images in one batch.")] = 16,
    constrained: Annotated[bool, typer.Option(help="Hold answers to their grammar: each can be read.")] = False,
) -> None:
    """Answer about many images, one JSON row each; resumable, and safe against being killed."""
    from rscovlm.predicting.items import find_items
    from rscovlm.predicting.prediction import Asked, latest_rows, write_geojson
    from rscovlm.predicting.prediction import predict as run
    from rscovlm.serving.loading import load_engine

    names = tuple(name.strip() for name in classes.split(",") if name.strip()) if classes else None
    with refusals("rscovlm predict"):
        asked = Asked(
            task,
            question,
            tuple(find) if find else None,
            names,
            kind,  # type: ignore[arg-type]  # checked by the prompts
            zoom,
            tile,
            model or "embedded",
            constrained,
        )
        items = find_items(sources)
        for item in items:
            asked.of(item)
        engine = load_engine(model, endpoints=server, batch_size=batch)
        counts = run(engine, items, asked, out, batch=batch)
        say(f"{counts['done']} done, {counts['before']} before, {counts['errors']} errors: {out}")
        if geojson is not None:
            written, left_out = write_geojson(latest_rows(out), geojson)
            say(f"{written} objects, {left_out} images without a place left out: {geojson}")
    if counts["errors"]:
        raise typer.Exit(1)
