"""One suite on one server by lmms-eval's own program and by `rscovlm eval`: the same answers and figure, and seconds of both.

    python -m tests.benchmarks.bench_lmms_eval --python LMMS/bin/python [--items 96] [--at-once 32]

LMMS is an environment of its own that has lmms-eval (0.7.3 needs ``filelock<3.20``) and rscovlm. Both programs ask the same server of ours
with as many requests at a time, and both are timed as whole commands;
lmms-eval also states what its evaluation took without loading. The suite is LRS-VQA with counts zoomed into as well: a request of
another program does not tell a server to look once.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

import numpy as np

from rscovlm.benchmarks.answers import merged_rows
from rscovlm.benchmarks.items import load_items
from rscovlm.benchmarks.peers import write_lmms_eval
from rscovlm.benchmarks.suite import load_suite
from rscovlm.codec.dialect import Dialect
from rscovlm.serving.loading import load_engine
from tests.benchmarks.stand_ins import write_lrs_vqa
from tests.serving.loopback import served

NAME = "rscovlm_lrs_vqa"


def timed(command: list[str], folder: Path) -> float:
    """Run a command; give the seconds it took."""
    environment = {**os.environ, "OPENAI_API_KEY": "none", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    with (folder / "log.txt").open("w") as log:
        before = time.perf_counter()
        done = subprocess.run(command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise SystemExit(f"{command[:3]} ended with {done.returncode}:\n{(folder / 'log.txt').read_text()[-2000:]}")
    return time.perf_counter() - before


def theirs(folder: Path, python: str, address: str, at_once: int) -> tuple[float, float, float, dict[str, str]]:
    """Return the seconds, those of its evaluation alone, the score and the answers of lmms-eval's program."""
    model = f"model=rscovlm,base_url={address},num_cpus={at_once}"
    command = [python, "-m", "lmms_eval", "--model", "async_openai", "--model_args", model, "--tasks", NAME]
    command += ["--include_path", "task", "--batch_size", "1", "--output_path", "theirs", "--log_samples"]
    seconds = timed(command, folder)
    names = [json.loads(line)["id"] for line in (folder / f"task/{NAME}.jsonl").read_text().splitlines()]
    (samples,) = (folder / "theirs").rglob(f"*_samples_{NAME}.jsonl")
    (results,) = (folder / "theirs").rglob("*_results.json")
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    report = json.loads(results.read_text())
    alone, score = float(report["total_evaluation_time_seconds"]), float(report["results"][NAME]["score,none"])
    return seconds, alone, score, {names[row["doc_id"]]: row["filtered_resps"] for row in rows}


def ours(folder: Path, address: str, at_once: int) -> tuple[float, float, dict[str, str]]:
    """Return the seconds, the score and the answers of `rscovlm eval`."""
    command = [sys.executable, "-m", "rscovlm", "eval", "--suite", "suite.yaml", "--variant", "zoom", "--data", "data"]
    command += ["--engine", "server", "--server", address, "--model", "rscovlm", "--batch", str(at_once)]
    seconds = timed([*command, "--no-controls", "--out", "ours"], folder)
    (score,) = json.loads((folder / "ours/scores.json").read_text())["scores"]
    average = next(one for one in score["figures"] if (one["name"], one["rule"]) == ("Avg.", score["protocol"]["rule"]))
    rows = {row["item"]: row["answer"] for row in merged_rows(folder / "ours", "lrs-vqa.zoom")}
    return seconds, 100 * average["value"], rows


def main() -> None:
    """Print all figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True)
    parser.add_argument("--items", type=int, default=96)
    parser.add_argument("--at-once", type=int, default=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shipped = files("rscovlm.benchmarks").joinpath("suites/lrs-vqa.yaml").read_text()
        (folder / "suite.yaml").write_text(shipped.replace(", direct: [count]", ""))
        write_lrs_vqa(folder / "data", np.random.default_rng(1), max(1, options.items // 6))
        suite = load_suite(folder / "suite.yaml")
        items = load_items(suite, folder / "data")
        (folder / "task").mkdir()
        write_lmms_eval(folder / "task", suite, items, Dialect.preset("rscovlm-v1"))
        with served(load_engine(batch_size=options.at_once)) as server:
            address = f"http://127.0.0.1:{server.port}/v1"
            mine, my_score, my_answers = ours(folder, address, options.at_once)
            their, alone, their_score, their_answers = theirs(folder, options.python, address, options.at_once)
    figures = {"items": len(items), "ours_s": round(mine, 1), "lmms_eval_s": round(their, 1)}
    figures["lmms_eval_without_loading_s"] = round(alone, 1)
    scores = {"ours": my_score, "lmms_eval": their_score}
    different = sum(my_answers.get(key) != answer for key, answer in their_answers.items())
    print(json.dumps({**figures, "times": round(their / mine, 2), "scores": scores, "answers_that_differ": different}))


if __name__ == "__main__":
    main()
