"""A benchmark for other programs: a task of lmms-eval and a data set of VLMEvalKit, made from a suite.

Both ask the suite's own questions about the same pictures; lmms-eval also scores by the suite's own rule, which it imports from here.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import yaml

from rscovlm.benchmarks.asking import question_of
from rscovlm.benchmarks.items import BenchmarkItem, truth_of
from rscovlm.benchmarks.suite import Suite
from rscovlm.benchmarks.word_scores import credit_of
from rscovlm.codec.dialect import Dialect
from rscovlm.files import mark, write_text
from rscovlm.records import Record
from rscovlm.records.views import load_image

_UTILS = '''"""Written by rscovlm: what is asked, and how an answer is scored, both as the suite says."""

from PIL import Image

from rscovlm.benchmarks.peers import average, scored


def doc_to_visual(doc):
    return [Image.open(path).convert("RGB") for path in doc["images"]]


def doc_to_text(doc, lmms_eval_specific_kwargs=None):
    return doc["question"]


def process_results(doc, results):
    return {"score": scored(doc, results[0])}


def aggregate(rows):
    return average(rows)
'''

Scored = Mapping[str, Any]


def write_lmms_eval(folder: Path, suite: Suite, items: Sequence[BenchmarkItem], dialect: Dialect) -> list[Path]:
    """Write a task of lmms-eval: ``SUITE.yaml``, ``rscovlm_utils.py`` and the questions; run it with ``--include_path FOLDER``.

    Args:
        folder: A folder that was claimed for this.
        suite: The benchmark; one of answers in words.
        items: Its items.
        dialect: In whose words the questions are asked.

    Raises:
        ValueError: The benchmark is not one of words, its dialect asks with a system text, or an image lies in no file of its own.
    """
    _check_words(suite)
    name = f"rscovlm_{suite.name.replace('-', '_')}"
    rows = [_row(item, suite, dialect) for item in items]
    questions = folder / f"{name}.jsonl"
    task = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(questions.resolve())}},
        "task": name,
        "test_split": "test",
        "output_type": "generate_until",
        "generation_kwargs": {"max_new_tokens": suite.asked().max_new_tokens, "temperature": 0, "do_sample": False},
        "metric_list": [
            {"metric": "score", "aggregation": _Function("rscovlm_utils.aggregate"), "higher_is_better": True}
        ],
        "metadata": [{"version": suite.version}],
    }
    for key in ("doc_to_visual", "doc_to_text", "process_results"):
        task[key] = _Function(f"rscovlm_utils.{key}")
    task["doc_to_target"] = "answer"
    text: str = yaml.dump(task, Dumper=_Dumper, sort_keys=False)
    return [
        write_text(questions, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), overwrite=True),
        write_text(folder / f"{name}.yaml", f"# {mark('peers')}\n{text}", overwrite=True),
        write_text(folder / "rscovlm_utils.py", _UTILS, overwrite=True),
    ]


def write_vlmevalkit(folder: Path, suite: Suite, items: Sequence[BenchmarkItem], dialect: Dialect) -> Path:
    """Write a data set of VLMEvalKit: one TSV with the pictures in it, for its folder of data (``LMUData``).

    Columns are ``index``, ``id``, ``image`` (base64), ``question``, ``answer``, ``category`` and, for choices, ``A``, ``B`` and so on.

    Args:
        folder: A folder that was claimed for this.
        suite: The benchmark; one of answers in words.
        items: Its items.
        dialect: In whose words the questions are asked.

    Raises:
        ValueError: The benchmark is not one of words, its dialect asks with a system text, or an image cannot be read.
    """
    _check_words(suite)
    letters = ascii_uppercase[: max((len(item.record.choices) for item in items), default=0)]
    text = io.StringIO()
    lines = csv.writer(text, delimiter="\t", lineterminator="\n")
    lines.writerow(["index", "id", "image", "question", "answer", "category", *letters])
    for number, item in enumerate(items):
        choices = [*item.record.choices, *[""] * (len(letters) - len(item.record.choices))]
        # Its own program letters choices, so that the bare question goes with them.
        asked = item.record.question if item.record.choices else _question(item.record, dialect, suite)
        group = item.within or item.column
        lines.writerow([number, item.id, _base64(item), asked, _truth(item), group, *choices])
    return write_text(folder / f"RSCoVLM_{suite.name}.tsv", text.getvalue(), overwrite=True)


def scored(doc: Mapping[str, Any], answer: str) -> Scored:
    """Return what lmms-eval keeps of an answer: its credit, and where it counts.

    >>> doc = {"rule": "geochat", "answer": "park", "choices": [], "column": "all", "within": "", "average": ""}
    >>> scored(doc, "A park.")["credit"]
    1.0
    """
    credit = credit_of(doc["rule"], answer, doc["answer"], list(doc["choices"] or ()))
    return {"credit": credit or 0.0, **{key: doc[key] for key in ("column", "within", "average")}}


def average(rows: Sequence[Scored]) -> float:
    """Return a benchmark's first figure in per cent: means of groups, then of columns, as the suite's own score.

    >>> row = {"column": "all", "within": "", "average": ""}
    >>> average([{**row, "credit": 1.0}, {**row, "credit": 0.0}])
    50.0
    """
    cells: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row["column"]:
            cells.setdefault(row["column"], {}).setdefault(row["within"], []).append(float(row["credit"]))
    columns = [sum(sum(some) / len(some) for some in groups.values()) / len(groups) for groups in cells.values()]
    return 100 * sum(columns) / len(columns) if columns else 0.0


class _Function(str):
    """The name of a function, which lmms-eval's files mark by a tag."""


class _Dumper(yaml.SafeDumper):
    """Writes names of functions with their tag."""


_Dumper.add_representer(_Function, lambda dumper, name: dumper.represent_scalar("!function", str(name)))


def _check_words(suite: Suite) -> None:
    if suite.protocol.scoring != "words":
        raise ValueError(f"suite {suite.name!r} is not answered in words, which is all that the peers' programs take")


def _row(item: BenchmarkItem, suite: Suite, dialect: Dialect) -> dict[str, Any]:
    record = item.record
    if any(not image.path for image in record.images):
        raise ValueError(f"an image of {item.id!r} lies in no file of its own; convert the data set without --embed")
    return {
        "id": item.id,
        "images": [str((item.root / image.path).resolve()) for image in record.images],
        "question": _question(record, dialect, suite),
        "answer": _truth(item),
        "choices": list(record.choices),
        "rule": suite.protocol.rule,
        "column": item.column,
        "within": item.within,
        "average": suite.protocol.average,
    }


def _question(record: Record, dialect: Dialect, suite: Suite) -> str:
    asked = question_of(record, dialect, suite.asked())
    if asked.system:
        raise ValueError(
            f"dialect {dialect.name!r} asks with the system text {asked.system[:60]!r}, which a task of another program cannot "
            "hold; give a wording without one, and the text to that program (system_prompt of lmms-eval's models)"
        )
    return asked.user


def _truth(item: BenchmarkItem) -> str:
    return str(truth_of(item, (1, 1)).get("answer", ""))


def _base64(item: BenchmarkItem) -> str:
    memory = io.BytesIO()
    load_image(item.record.images[0], item.root).save(memory, "PNG")
    return base64.b64encode(memory.getvalue()).decode("ascii")
