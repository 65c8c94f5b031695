"""Time preprocessing of a 1008 x 1008 image against the stock PIL class, in one run: ``python tests/benchmarks/bench_image_processor.py``."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from rscovlm.processing import RSCoVLMImageProcessor


def measure(rounds: int = 5, repeats: int = 9) -> dict[str, float]:
    """Return the median milliseconds of both, and their ratio.

    Each class runs several times in a row, as in a data loader, and the two take turns, so that a busy moment of the machine
    meets both. Run singly by turns, the ratio is lower: the memory that one gave back is cleared anew for the other.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (1008, 1008, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    limits = {"shortest_edge": 224 * 224, "longest_edge": 1008 * 1008}
    stock, ours = Qwen2VLImageProcessorPil(size=limits), RSCoVLMImageProcessor()
    difference = np.abs(_run(stock, image)["pixel_values"] - _run(ours, image)["pixel_values"]).max()
    seconds: dict[str, list[float]] = {"stock": [], "ours": []}
    for _ in range(rounds):
        for name, processor in (("stock", stock), ("ours", ours)):
            seconds[name] += [_timed(partial(_run, processor, image)) for _ in range(repeats)]
    stock_ms, ours_ms = (statistics.median(seconds[name]) * 1e3 for name in ("stock", "ours"))
    values = {"stock_ms": stock_ms, "ours_ms": ours_ms, "ratio": stock_ms / ours_ms}
    return values | {"largest_difference": float(difference)}


def _run(processor: Any, image: Image.Image) -> Any:
    return processor(image, return_tensors="np")


def _timed(function: Callable[[], Any]) -> float:
    # Processor time: what other processes do meanwhile is not counted.
    started = time.process_time()
    function()
    return time.process_time() - started


if __name__ == "__main__":
    for name, value in measure().items():
        print(f"{name:20} {value:.4g}")
