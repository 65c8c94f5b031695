"""``rscovlm mcp``: the tasks as tools for agents, over standard input and output."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rscovlm.cli.model_options import (
    BudgetOption,
    DeviceOption,
    DialectOption,
    DtypeOption,
    MaxStepsOption,
    MaxTilesOption,
    MaxTokensOption,
    MaxVisualTokensOption,
    ModelOption,
    ProbeOption,
    ProcessorOption,
    RevisionOption,
    WordingOption,
)
from rscovlm.cli.refusals import refusals
from rscovlm.cli.terminal import log_to_terminal


def mcp(
    root: Annotated[Path, typer.Option(help="Folder whose images may be opened; nothing outside is.")],
    out: Annotated[Path | None, typer.Option(help="Folder to which GeoJSON is written; none is by default.")] = None,
    model: ModelOption = None,
    revision: RevisionOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = "auto",
    server: Annotated[
        list[str] | None, typer.Option(help="Ask OpenAI-compatible servers instead; their key: RSCOVLM_API_KEY.")
    ] = None,
    dialect: DialectOption = None,
    wording: WordingOption = None,
    processor: ProcessorOption = None,
    budget: BudgetOption = None,
    probe: ProbeOption = True,
    segmenter: Annotated[
        str, typer.Option(help="SAM 2 checkpoint that draws masks, or filled; segment is refused without.")
    ] = "",
    max_pixels: Annotated[int, typer.Option(min=1, help="Megapixels of the largest image.")] = 4096,
    max_tiles: MaxTilesOption = 400,
    max_memory: Annotated[int, typer.Option(min=1, help="MiB in which all calls' images are decoded.")] = 1536,
    max_tokens: MaxTokensOption = 2048,
    max_steps: MaxStepsOption = 4,
    max_visual_tokens: MaxVisualTokensOption = 6000,
    max_seconds: Annotated[int, typer.Option(min=1, help="Time for one call at most.")] = 600,
) -> None:
    """Offer the tasks to agents as tools of the Model Context Protocol, over standard input and output."""
    # Standard output is the protocol's: everything in words goes to standard error.
    log_to_terminal("%(asctime)s %(message)s")
    with refusals("rscovlm mcp", extra="mcp"):
        from rscovlm.agents.image_tools import ImageTools
        from rscovlm.agents.workspace import Workspace
        from rscovlm.points.loading import load_segmenter
        from rscovlm.points.segmenter import FilledShapes
        from rscovlm.serving.loading import load_engine
        from rscovlm.serving.refusals import RequestLimits

        files = Workspace(root, out, pixels=max_pixels * 10**6)
        limits = RequestLimits(
            memory=max_memory * 2**20,
            tiles=max_tiles,
            tokens=max_tokens,
            steps=max_steps,
            visual_tokens=max_visual_tokens,
            seconds=max_seconds,
        )
        from rscovlm.agents.tool_server import tool_server

        engine = load_engine(
            model,
            endpoints=server,
            revision=revision,
            device=device,
            dtype=dtype,
            dialect=dialect,
            wording=wording,
            processor=processor,
            budget=budget,
            probe=probe,
        )
        drawing = (load_segmenter(segmenter) or FilledShapes()) if segmenter else None
        service = tool_server(ImageTools(engine, files, limits=limits, segmenter=drawing), files)
    service.run("stdio")
