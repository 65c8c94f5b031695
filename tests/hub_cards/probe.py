"""Run by the tests in a process of its own: uses the metric modules in every way and prints what came out as JSON.

`evaluate` reads its folders and the Hub's address when it is imported, so both are set before, by who starts this.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

import evaluate
import numpy as np

from rscovlm.metrics import ap_nc, grounding_accuracy, lrs_vqa_aa

NAMES = ("ap_nc", "acc_at_05", "lrs_vqa_aa")


def columns(name: str, count: int) -> tuple[list[Any], list[Any]]:
    """Return predictions and references as a module takes them."""
    rng = np.random.default_rng(0)
    if name == "lrs_vqa_aa":
        true = [str(rng.choice(["grey", "2", "ship"])) for _ in range(count)]
        found = [str(rng.choice([answer, "gray", "boat"])) for answer in true]
        references = [
            {"answer": answer, "category": f"c{k % 3}", "source": f"FAIR_{k}"} for k, answer in enumerate(true)
        ]
        return found, references
    if name == "acc_at_05":
        boxes = rng.integers(0, 50, (count, 2)).repeat(2, axis=0).reshape(count, 4)
        boxes[:, 2:] += rng.integers(5, 30, (count, 2))
        moved = boxes + rng.integers(-2, 3, boxes.shape)
        return [None if k % 7 == 0 else box.tolist() for k, box in enumerate(moved)], boxes.tolist()
    return images(count, 12, rng)


def images(count: int, boxes: int, rng: np.random.Generator) -> tuple[list[Any], list[Any]]:
    """Return so many images with so many boxes each, as plain lists."""
    found, true = [], []
    for k in range(count):
        corners = rng.integers(0, 3000, (boxes, 2)).astype(np.float64)
        quads = np.concatenate([corners, corners + (30, 2), corners + (28, 20), corners + (-2, 18)], axis=1)
        labels = [f"class-{label}" for label in rng.integers(0, 5, boxes)]
        moved = quads + np.tile(rng.integers(-4, 5, (boxes, 2)), 4)
        found.append({"boxes": moved.tolist(), "labels": labels})
        true.append({"boxes": quads.tolist(), "labels": labels})
        if k % 2:
            true[-1]["difficult"] = (rng.random(boxes) < 0.2).tolist()
    found.append({"boxes": [], "labels": []})
    true.append({"boxes": [], "labels": []})
    return found, true


def expected(name: str, found: list[Any], true: list[Any]) -> Any:
    """Return what the library says without `evaluate`."""
    if name == "lrs_vqa_aa":
        answers, categories, sources = ([item[key] for item in true] for key in ("answer", "category", "source"))
        return lrs_vqa_aa(found, answers, categories=categories, sources=sources)
    return ap_nc(found, true) if name == "ap_nc" else grounding_accuracy(found, true)


def ways(name: str, folder: Path) -> dict[str, bool]:
    """Compare the module with the library in every way of feeding it."""
    found, true = columns(name, 30)
    plain = json.loads(json.dumps(expected(name, found, true)))
    same: dict[str, bool] = {}

    def check(way: str, result: Any) -> None:
        same[way] = json.loads(json.dumps(result)) == plain

    module = evaluate.load(str(folder / name))
    check("compute", module.compute(predictions=found, references=true))
    for mine, theirs in zip(found, true, strict=True):
        module.add(prediction=mine, reference=theirs)
    check("add", module.compute())
    for start in range(0, len(true), 11):
        module.add_batch(predictions=found[start : start + 11], references=true[start : start + 11])
    check("add_batch", module.compute())
    in_memory = evaluate.load(str(folder / name), keep_in_memory=True)
    check("keep_in_memory", in_memory.compute(predictions=found, references=true))
    check("by name over the Hub", evaluate.load(f"rscovlm/{name}").compute(predictions=found, references=true))
    both = evaluate.combine([module, evaluate.load(str(folder / name))], force_prefix=True)
    results = both.compute(predictions=found, references=true)
    prefixes = sorted({key.split("_", 2)[-1] for key in results})
    same["combine"] = len(results) == 2 * len(plain) and bool(prefixes)
    for key, value in plain.items():
        hits = [json.loads(json.dumps(result)) == value for full, result in results.items() if full.endswith(f"_{key}")]
        same["combine"] &= any(hits)
    return same


def rank(folder: Path, process: int, queue: Any) -> None:
    """Evaluate one half of the images as one of two processes."""
    module = evaluate.load(str(folder / "ap_nc"), num_process=2, process_id=process, experiment_id="pair")
    found, true = columns("ap_nc", 30)
    result = module.compute(predictions=found[process::2], references=true[process::2])
    queue.put((process, json.dumps(result)))


def two_processes(folder: Path) -> bool:
    """Tell whether two processes together give what one gives."""
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=rank, args=(folder, process, queue)) for process in range(2)]
    for worker in workers:
        worker.start()
    results = dict(queue.get(timeout=120) for _ in workers)
    for worker in workers:
        worker.join()
    plain = expected("ap_nc", *columns("ap_nc", 30))
    joined = json.loads(results[0])
    # The constant score alone depends on the order, and two processes bring the images in another one.
    for result in (plain, joined):
        result.pop("constant_score")
        for row in result["per_class"].values():
            row.pop("constant_score")
    return bool(joined == json.loads(json.dumps(plain)) and json.loads(results[1]) is None)


def overhead(folder: Path) -> float:
    """Return the CPU seconds that the module takes longer than the function for 50,000 boxes."""
    found, true = images(250, 100, np.random.default_rng(1))
    module = evaluate.load(str(folder / "ap_nc"))
    start = time.process_time()
    expected("ap_nc", found, true)
    middle = time.process_time()
    module.compute(predictions=found, references=true)
    return time.process_time() - middle - (middle - start)


def messages(folder: Path) -> dict[str, str]:
    """Return how the modules refuse what is malformed."""
    refused = {}
    inputs: dict[str, tuple[Any, Any]] = {
        "ap_nc": ([{"boxes": []}], [{"boxes": [], "labels": []}]),
        "acc_at_05": ([[0, 0, 1]], [[0, 0, 1, 1]]),
        "lrs_vqa_aa": (["a"], [{"answer": "a"}]),
    }
    for name, (found, true) in inputs.items():
        try:
            evaluate.load(str(folder / name), keep_in_memory=True).compute(predictions=found, references=true)
        except ValueError as error:
            refused[name] = str(error)
    return refused


def main(folder: Path) -> None:
    """Print everything."""
    outcome = {name: ways(name, folder) for name in NAMES}
    pair, cost = two_processes(folder), overhead(folder)
    print(json.dumps({"ways": outcome, "pair": pair, "overhead": cost, "messages": messages(folder)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
