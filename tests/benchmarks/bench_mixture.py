"""Drawing from a mixture, beside `datasets.interleave_datasets` over the same tables: ``python -m tests.benchmarks.bench_mixture``.

Twenty subsets of a million rows, memory-mapped; no image is decoded. Prints microseconds a sample, the growth of
memory, and what a far position costs.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rscovlm.mixtures.mixture import Mixture, Subset
from rscovlm.mixtures.read_ahead import AHEAD, ReadAhead

BATCH = 256
"""Positions drawn at a time: what the plan of packed rows has in hand."""


def main() -> None:
    """Build the tables in a temporary folder, measure, and print."""
    from datasets import Dataset, interleave_datasets

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subsets", type=int, default=20)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--draws", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tables = []
        for place in range(options.subsets):
            path = Path(folder) / f"{place}.parquet"
            pq.write_table(pa.table({"id": pa.array(range(options.rows), pa.int64())}), path)
            tables.append(Dataset.from_parquet(str(path), cache_dir=folder))
        weights = [1.0 + place for place in range(options.subsets)]
        before = _memory()
        start = time.perf_counter()
        mixture = Mixture(
            [
                Subset(f"s{place}", table, weight)
                for place, (table, weight) in enumerate(zip(tables, weights, strict=True))
            ],
            length=10**10,
        )
        built = time.perf_counter() - start
        near = _each(lambda i: mixture[i], 0, options.draws)
        batches = _each(lambda i: mixture.__getitems__(range(i * BATCH, (i + 1) * BATCH)), 0, options.draws // BATCH)
        batched = batches / BATCH
        ahead = ReadAhead(mixture, lambda i, count: range(i, i + count))
        packing = _each(ahead.draw, 0, options.draws)
        in_order = iter(mixture)
        walked = _each(lambda i: next(in_order), 0, options.draws)
        far = _each(lambda i: mixture[i], 10**9, options.draws)
        bare = _each(lambda i: (mixture.subset_at(i), mixture.generator_at(i)), 0, options.draws)
        grown = _memory() - before
        rows = [_each(lambda i: tables[0][(i * 7919) % options.rows], 0, options.draws)]
        start = time.perf_counter()
        stream = interleave_datasets(
            [table.to_iterable_dataset() for table in tables],
            probabilities=[weight / sum(weights) for weight in weights],
            seed=0,
        )
        theirs_iter = iter(stream)
        next(theirs_iter)
        theirs_built = time.perf_counter() - start
        theirs = _each(lambda i: next(theirs_iter), 0, options.draws)
        out: Any = sys.stdout.write
        out(f"{datetime.date.today()} {platform.machine()} Python {platform.python_version()}\n")
        out(f"{options.subsets} subsets of {options.rows} rows, {options.draws} draws\n")
        out(f"mixture: built in {built:.2f} s, {near:.1f} us a sample, at position 10^9 {far:.1f} us\n")
        out(f"  of which choosing subset and generator {bare:.1f} us; one random row of a table {rows[0]:.1f} us\n")
        out(f"  memory grew by {grown / 1e6:.0f} MB\n")
        out(
            f"interleave_datasets, streaming: started in {theirs_built:.2f} s, {theirs:.1f} us a sample, no random access\n"
        )
        out(f"mixture, {BATCH} samples at a time: {batched:.1f} us a sample\n")
        out(f"mixture, drawn as packing draws, rows read {AHEAD} at a time: {packing:.1f} us a sample\n")
        out(f"mixture, walked in order: {walked:.1f} us a sample\n")
        out(
            f"ratio {theirs / walked:.2f} walked in order, {theirs / packing:.2f} as packing draws, {theirs / batched:.2f} in batches, "
            f"{theirs / near:.2f} by position, one at a time\n"
        )


def _each(draw: Callable[[int], Any], first: int, count: int) -> float:
    """Microseconds a call."""
    start = time.process_time()
    for position in range(first, first + count):
        draw(position)
    return (time.process_time() - start) / count * 1e6


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
