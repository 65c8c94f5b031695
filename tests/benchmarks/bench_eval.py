"""Items a second of evaluation, and time and memory of scoring a million answers and of intervals of AP_nc.

    python -m tests.benchmarks.bench_eval [--answers 1000000] [--items 96] [--skip-model]

Bars: a million answers scored under three conventions with 1,000 redraws in 60 s and 2 GB; 1,000 redraws of a DOTA-val-sized AP_nc in
5 s of one thread; evaluation in batches at least 4 times one by one (embedded model).
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from rscovlm.benchmarks.answers import open_answers
from rscovlm.benchmarks.evaluation import BenchmarkRun, evaluate
from rscovlm.benchmarks.items import load_items
from rscovlm.benchmarks.scoring import score_run
from rscovlm.benchmarks.suite import load_suite
from rscovlm.codec.dialect import Dialect
from rscovlm.metrics import bootstrap_ap_nc
from tests.benchmarks.bench_metrics import dota_like
from tests.benchmarks.stand_ins import write_refgeo

WORDS = [
    "gray",
    "grey",
    "car",
    "automobile",
    "two",
    "2",
    "yes",
    "Yes.",
    "",
    "ship",
    "rural",
    "a large ship at the quay",
]


def million(folder: Path, count: int) -> dict[str, float]:
    """Score so many answers about five times fewer images under the three conventions of LRS-VQA."""
    rng = np.random.default_rng(0)
    said, true, source, category = (rng.integers(n, size=count) for n in (len(WORDS), 8, 3, 8))
    columns = ("FAIR", "Bridge", "STAR")
    settings = {
        "suite": "lrs-vqa",
        "version": 1,
        "variant": "direct",
        "dialect": Dialect.preset("rscovlm-v1").to_dict(),
    }
    with open_answers(folder, "lrs-vqa.direct", (1, 1), settings) as journal:
        for start in range(0, count, 50_000):
            journal.append(
                {
                    "item": f"q{k}",
                    "image": f"image_{k // 5}.tif",
                    "pixels": "0123456789abcdef",
                    "size": [7000, 6000],
                    "column": columns[source[k]],
                    "within": f"category {category[k]}",
                    "truth": {"answer": WORDS[true[k]]},
                    "system": "",
                    "prompt": "What is the colour of the large ship at the quay? Answer with a single word or phrase.",
                    "seen": [1008, 868],
                    "answer": f"{WORDS[said[k]]}{k % 1000 if k % 3 == 0 else ''}",
                    "finish": "stop",
                    "tokens": 3,
                }
                for k in range(start, min(count, start + 50_000))
            )
    before, wall = time.process_time(), time.perf_counter()
    score = score_run(folder, "lrs-vqa.direct", load_suite("lrs-vqa"))
    return {
        "answers": score.counts["answers"],
        "cpu_seconds": time.process_time() - before,
        "wall_seconds": time.perf_counter() - wall,
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def redraws() -> dict[str, float]:
    """Time 1,000 redraws of a DOTA-val-sized set under both protocols."""
    found, true = dota_like(450)
    result = {}
    for protocol in ("dota", "rscovlm"):
        before = time.process_time()
        bootstrap_ap_nc(found, true, protocol=protocol)
        result[protocol] = time.process_time() - before
    return result


def batching(folder: Path, count: int) -> dict[str, float]:
    """Evaluate grounding with the embedded model one by one and in batches; items a second."""
    from rscovlm.serving.loading import load_engine

    write_refgeo(folder / "refGeo", np.random.default_rng(0), count)
    suite = load_suite("rsvg-test")
    items = load_items(suite, folder)
    engine = load_engine(batch_size=32)
    evaluate(engine, BenchmarkRun(suite), items[:4], folder / "warm")
    result = {}
    for batch in (1, 32):
        before = time.perf_counter()
        evaluate(engine, BenchmarkRun(suite), items, folder / f"by{batch}", batch=batch)
        result[f"items_per_second_by_{batch}"] = len(items) / (time.perf_counter() - before)
    return result | {"times": result["items_per_second_by_32"] / result["items_per_second_by_1"]}


def main() -> None:
    """Print all figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=96)
    parser.add_argument("--skip-model", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures: dict[str, object] = {"scoring": million(Path(folder) / "run", options.answers), "redraws": redraws()}
        if not options.skip_model:
            figures["batching"] = batching(Path(folder) / "model", options.items)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
