"""The Zoom-in Chain, batched against one by one, and against a single look: ``python -m tests.benchmarks.bench_chain``.

Thirty-two questions about generated scenes, answered by the embedded model on one thread; the same model on pictures of
1,296 visual tokens, where it is made to zoom, with and without the cache of the turn before; then detection over a
large scene. CPU seconds, medians of five runs for the small pictures. A single look is the same question to the same
engine by the same chain with ``zoom=False``.
"""

from __future__ import annotations

import copy
import datetime
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from rscovlm.embedded import embedded_model
from rscovlm.engines import Transformers
from rscovlm.processing import PixelBudget
from rscovlm.rasters import open_image
from rscovlm.scenes import make_zoom_scene
from rscovlm.tasks import detect
from rscovlm.zoom import ZoomChain, ZoomResult
from rscovlm.zoom.layouts import CALL_END, CALL_START
from tests.benchmarks.bench_rasters import memory

QUESTIONS = 32


def main() -> None:
    """Measure and print."""
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
    together, tokens = _cost(engine, lambda: chain.ask_many(asked))
    alone, _ = _cost(engine, lambda: [chain.ask(image, question) for image, question in asked])
    look, single = _cost(engine, lambda: chain.ask_many(asked, zoom=False))
    out = sys.stdout.write
    out(f"{datetime.date.today()} {platform.machine()} Python {platform.python_version()}, one thread, CPU seconds\n")
    out(
        f"{QUESTIONS} questions, {zoomed} zoomed: together {together:.2f}, one by one {alone:.2f}, ratio {alone / together:.1f}\n"
    )
    out(
        f"a single look {look:.3f} and {single:.0f} tokens read and written for a question: the chain costs "
        f"{together / look:.2f} times its time, {tokens / single:.2f} times its tokens\n"
    )
    out(f"visual tokens for a question, at most {max(result.visual_tokens for result in results)}\n")
    out(_full_size(model, processor))
    sys.stdout.flush()
    # In a process of its own: the highest memory of this one is that of the chain.
    subprocess.run([sys.executable, "-m", "tests.benchmarks.bench_chain", "--detect"], check=True)


def detection() -> None:
    """Measure detection over a scene of 8192 x 8192 and the peak of this process above what the loaded model takes."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    import rscovlm  # noqa: F401  registers the processor

    torch.set_num_threads(1)
    model: Any = AutoModelForImageTextToText.from_pretrained(embedded_model()).eval()
    engine = Transformers(model, AutoProcessor.from_pretrained(embedded_model()), batch_size=QUESTIONS)
    options: dict[str, Any] = {"tile": 512, "overlap": 100, "max_new_tokens": 96}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.tif"
        writer = f"write_large_scene({str(path)!r}, 0, LayoutConfig(8192, 8192), compression='jpeg')"
        scenes = "from rscovlm.scenes import LayoutConfig, write_large_scene"
        subprocess.run([sys.executable, "-c", f"{scenes}\n{writer}"], check=True)
        detect(engine, np.zeros((600, 600, 3), dtype=np.uint8), ["plane"], **options)
        before = memory("VmRSS")
        start = time.process_time()
        with open_image(path) as raster:
            found = detect(engine, raster, ["plane", "ship", "tank"], **options)
        spent = time.process_time() - start
        sys.stdout.write(
            f"detection on 8192 x 8192: {len(found.tiles)} tiles in {spent:.1f}, {len(found.tiles) / spent:.1f} a second, "
            f"peak of memory {memory('VmHWM') - before} MB above the {before} MB before\n"
        )


def _full_size(model: Any, processor: Any) -> str:
    """Measure questions about pictures at the usual budget, with and without reuse, against a single look."""
    processor = copy.deepcopy(processor)
    processor.budget = PixelBudget()
    scenes = [large_zoom_picture(seed) for seed in range(2)]
    tokenizer = processor.tokenizer
    answer = [*tokenizer("ring")["input_ids"], tokenizer.eos_token_id]
    # A quarter of the picture, as large as the overview once it is read at full resolution.
    zoom = [*tokenizer(f"{CALL_START}250, 250, 750, 750{CALL_END}")["input_ids"], tokenizer.eos_token_id]
    begins = tokenizer("<|im_start|>assistant\n")["input_ids"]

    def costs(*, chain: bool, reuse: bool) -> tuple[float, float, float]:
        def said(_: int, ids: torch.Tensor) -> list[int]:
            images = int(((ids[1:] == processor.image_token_id) & (ids[:-1] != processor.image_token_id)).sum())
            script = zoom if chain and images == 1 else answer
            done = len(ids) - int((ids == begins[0]).nonzero()[-1]) - len(begins)
            return [script[min(done, len(script) - 1)]]

        engine = Transformers(
            model,
            processor,
            batch_size=len(scenes),
            reuse_bytes=2 << 30 if reuse else 0,
            generation={"prefix_allowed_tokens_fn": said},
        )
        start = time.process_time()
        results = ZoomChain(engine, max_steps=1).ask_many([(one, "What is it?") for one in scenes], zoom=chain)
        seconds = time.process_time() - start
        if any(result.zoomed is not chain or result.answer != "ring" for result in results):
            raise RuntimeError("the model was not held to its script")
        read = _read(engine) + sum(result.tokens for result in results)
        return seconds / len(scenes), read / len(scenes), statistics.mean(result.visual_tokens for result in results)

    look, anew, reusing = (
        costs(chain=chain, reuse=reuse) for chain, reuse in ((False, False), (True, False), (True, True))
    )
    lines = [
        f"pictures of {scenes[0].width} x {scenes[0].height}, for a question: seconds, tokens read and written, visual"
    ]
    for name, (seconds, tokens, visual) in (
        ("a single look", look),
        ("chain, turns read anew", anew),
        ("chain, cache reused", reusing),
    ):
        ratio = f"  {seconds / look[0]:.2f} and {tokens / look[1]:.2f} times a look"
        lines.append(f"  {name:24}{seconds:7.3f}{tokens:8.0f}{visual:7.0f}{ratio}")
    return "\n".join(lines) + "\n"


def large_zoom_picture(seed: int) -> Image.Image:
    """Return noise of 2,016 pixels a side: a quarter of it, at full resolution, fills the budget as the whole did."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 255, (2016, 2016, 3), dtype=np.uint8))


def _cost(engine: Transformers, work: Callable[[], list[ZoomResult]]) -> tuple[float, float]:
    """Return CPU seconds, the median of five runs, and tokens read and written for a question."""
    times, tokens = [], 0.0
    for _ in range(5):
        engine.prefixes.counts.clear()
        start = time.process_time()
        results = work()
        times.append(time.process_time() - start)
        tokens = _read(engine) / len(results) + statistics.mean(result.tokens for result in results)
    return statistics.median(times), tokens


def _read(engine: Transformers) -> int:
    return engine.prefixes.counts["tokens"] - engine.prefixes.counts["tokens_reused"]


if __name__ == "__main__":
    detection() if "--detect" in sys.argv else main()
