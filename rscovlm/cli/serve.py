"""``rscovlm serve``: an endpoint that existing OpenAI clients get zooming from without knowing of it."""

from __future__ import annotations

import os
import signal
from typing import Annotated

import typer

from rscovlm.cli import choices
from rscovlm.cli.model_options import (
    BudgetOption,
    DialectOption,
    MaxStepsOption,
    MaxTilesOption,
    MaxTokensOption,
    MaxVisualTokensOption,
    ModelOption,
    ProbeOption,
    ProcessorOption,
    WordingOption,
)
from rscovlm.cli.refusals import refusals
from rscovlm.cli.terminal import log_to_terminal, say


def serve(
    model: ModelOption = None,
    server: Annotated[
        list[str] | None,
        typer.Option(help="Answer through these OpenAI-compatible servers; their key: RSCOVLM_API_KEY."),
    ] = None,
    dialect: DialectOption = None,
    wording: WordingOption = None,
    processor: ProcessorOption = None,
    budget: BudgetOption = None,
    probe: ProbeOption = True,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for a free one.")] = 8000,
    name: Annotated[str, typer.Option(help="Name under which the model is listed.")] = "rscovlm",
    api_key_env: Annotated[
        str | None, typer.Option(help="Environment variable with the key that clients must send.")
    ] = None,
    layout: Annotated[str, choices.option(choices.LAYOUTS, "Zoom conversation.")] = "reference",
    batch: Annotated[int, typer.Option(min=1, help="Conversations answered at a time.")] = 8,
    max_body: Annotated[int, typer.Option(min=1, help="Largest request in MiB.")] = 64,
    max_memory: Annotated[int, typer.Option(min=1, help="MiB in which all requests' images are decoded.")] = 1536,
    max_pixels: Annotated[int, typer.Option(min=1, help="Megapixels of one request's images.")] = 256,
    max_tokens: MaxTokensOption = 2048,
    max_tiles: MaxTilesOption = 400,
    max_steps: MaxStepsOption = 4,
    max_visual_tokens: MaxVisualTokensOption = 6000,
    policy: Annotated[
        list[str] | None,
        choices.option(choices.POLICIES, "Let requests choose this policy of zooming; give it again for more."),
    ] = None,
    max_search_calls: Annotated[int, typer.Option(min=1, help="Looks of a policy for one question at most.")] = 64,
    max_search_tokens: Annotated[int, typer.Option(min=1, help="Visual tokens of these at most.")] = 20_000,
    segmenter: Annotated[
        str,
        typer.Option(
            help="SAM 2 checkpoint that draws masks, embedded, or filled; filled but for the model in the package."
        ),
    ] = "",
    max_seconds: Annotated[int, typer.Option(min=1, help="Time for one request at most.")] = 600,
) -> None:
    """Serve a model that zooms by itself: /v1/chat/completions, /v1/models, /health, /metrics."""
    log_to_terminal("%(asctime)s %(message)s")
    with refusals("rscovlm serve", extra="serve"):
        from rscovlm.points.loading import EMBEDDED, load_segmenter
        from rscovlm.serving.allocator import return_freed_memory
        from rscovlm.serving.loading import load_engine
        from rscovlm.serving.refusals import RequestLimits
        from rscovlm.serving.server import ZoomServer
        from rscovlm.zoom.layouts import check_layout

        return_freed_memory()
        key = None
        if api_key_env is not None:
            key = os.environ.get(api_key_env)
            if not key:
                raise ValueError(f"environment variable {api_key_env} is not set; put the clients' key there")
        limits = RequestLimits(
            body=max_body * 2**20,
            memory=max_memory * 2**20,
            pixels=max_pixels * 10**6,
            tokens=max_tokens,
            tiles=max_tiles,
            steps=max_steps,
            visual_tokens=max_visual_tokens,
            policies=tuple(policy or ()),
            search_calls=max_search_calls,
            search_tokens=max_search_tokens,
            seconds=max_seconds,
        )
        shown = check_layout(layout)
        engine = load_engine(
            model,
            endpoints=server,
            batch_size=batch,
            dialect=dialect,
            wording=wording,
            processor=processor,
            budget=budget,
            probe=probe,
        )
        # The model in the package knows boxes but no sets of points, and has a segmenter that knows its scenes.
        own = model is None and not server
        service = ZoomServer(
            engine,
            host=host,
            port=port,
            model=name,
            api_key=key,
            limits=limits,
            layout=shown,
            segmenter=load_segmenter(segmenter or (EMBEDDED if own else "")),
            form="box" if own else None,
        )
    say(f"http://{host}:{service.port}/v1 serves {name}; stop with Ctrl-C")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # how a container or a service manager stops it
    try:
        service.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        service.server_close()
