"""The Zoom-in Chain, batched against one by one, and against a single look: ``python -m tests.benchmarks.bench_chain``.

Thirty-two questions about generated scenes, answered by the embedded model on one thread; then detection over a large
scene. CPU seconds, medians of three runs.
"""

from __future__ import annotations

import datetime
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rscovlm.data.scenes import LayoutConfig, make_zoom_scene, write_large_scene
from rscovlm.embedded import embedded_model
from rscovlm.engines import Transformers
from rscovlm.rasters import open_image
from rscovlm.zoom import ZoomChain, detect

QUESTIONS = 32


def main() -> None:
    """Measure and print."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    import rscovlm  # noqa: F401  registers the processor

    torch.set_num_threads(1)
    model: Any = AutoModelForImageTextToText.from_pretrained(embedded_model()).eval()
    processor: Any = AutoProcessor.from_pretrained(embedded_model())
    engine = Transformers(model, processor, batch_size=QUESTIONS)
    chain = ZoomChain(engine, max_steps=1)
    asked = [(scene.image, scene.question) for scene in (make_zoom_scene(seed) for seed in range(QUESTIONS))]
    chain.ask_many(asked[:2])
    results = chain.ask_many(asked)
    zoomed = sum(result.zoomed for result in results)
    together = _median(lambda: chain.ask_many(asked))
    alone = _median(lambda: [chain.ask(image, question) for image, question in asked])
    look = _median(lambda: chain.ask_many(asked, zoom=False))
    looks = chain.ask_many(asked, zoom=False)
    tokens = statistics.mean(result.tokens + result.visual_tokens for result in results)
    single = statistics.mean(result.tokens + result.visual_tokens for result in looks)
    out = sys.stdout.write
    out(f"{datetime.date.today()} {platform.machine()} Python {platform.python_version()}, one thread, CPU seconds\n")
    out(
        f"{QUESTIONS} questions, {zoomed} zoomed: together {together:.2f}, one by one {alone:.2f}, ratio {alone / together:.1f}\n"
    )
    out(
        f"a single look {look:.2f}: the chain costs {together / look:.1f} times its time, {tokens / single:.1f} times its tokens\n"
    )
    out(f"visual tokens for a question, at most {max(result.visual_tokens for result in results)}\n")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.tif"
        write_large_scene(path, 0, LayoutConfig(8192, 8192), compression="jpeg")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        with open_image(path) as raster:
            found = detect(engine, raster, ["plane", "ship", "tank"], tile=512, overlap=100, max_new_tokens=96)
        spent = time.process_time() - start
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        out(
            f"detection on 8192 x 8192: {len(found.tiles)} tiles in {spent:.1f}, {len(found.tiles) / spent:.1f} a second, "
        )
        out(f"memory grew by {grown:.0f} MB\n")


def _median(work: Callable[[], Any]) -> float:
    times = []
    for _ in range(3):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
