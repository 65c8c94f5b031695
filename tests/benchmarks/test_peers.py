"""Suites for lmms-eval and VLMEvalKit: the same questions, and the same score to the last digit."""

import base64
import csv
import importlib.util
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from rscovlm.benchmarks.evaluation import BenchmarkRun
from rscovlm.benchmarks.items import BenchmarkItem, load_items
from rscovlm.benchmarks.other_answers import import_answers
from rscovlm.benchmarks.peers import write_lmms_eval, write_vlmevalkit
from rscovlm.benchmarks.scoring import score_folder
from rscovlm.benchmarks.suite import load_suite
from rscovlm.codec.dialect import Dialect
from tests.benchmarks.stand_ins import write_lrs_vqa

SUITE, WORDS = load_suite("lrs-vqa"), Dialect.preset("rscovlm-v1")


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[BenchmarkItem]:
    root = tmp_path_factory.mktemp("lrs")
    write_lrs_vqa(root / "lrs-vqa", np.random.default_rng(2), 3)
    return load_items(SUITE, root)


class _Tags(yaml.SafeLoader):
    """Reads the tag of functions as lmms-eval's own loader does."""


def _function(loader: _Tags, node: yaml.ScalarNode) -> tuple[str, str]:
    return "function", str(loader.construct_scalar(node))


_Tags.add_constructor("!function", _function)


def test_lmms_evals_task_scores_as_the_suite(items: list[BenchmarkItem], tmp_path: Path) -> None:
    write_lmms_eval(tmp_path, SUITE, items, WORDS)
    task = yaml.load((tmp_path / "rscovlm_lrs_vqa.yaml").read_text(), _Tags)
    assert task["output_type"] == "generate_until" and task["dataset_path"] == "json"
    datasets = pytest.importorskip("datasets")
    rows = datasets.load_dataset(task["dataset_path"], **task["dataset_kwargs"], cache_dir=str(tmp_path / "c"))["test"]
    spec = importlib.util.spec_from_file_location("rscovlm_utils", tmp_path / "rscovlm_utils.py")
    assert spec is not None and spec.loader is not None
    utils: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(utils)
    rng = np.random.default_rng(5)
    answers = {row["id"]: str(rng.choice([row["answer"], f"{row['answer']}.", "no", ""])) for row in rows}
    kept = []
    for row in rows:
        assert utils.doc_to_visual(row)[0].size == (336, 336) and utils.doc_to_text(row)
        kept.append(utils.process_results(row, [answers[row["id"]]])["score"])
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(answers))
    import_answers(path, BenchmarkRun(SUITE), items, tmp_path / "ours", dialect=WORDS)
    (score,) = score_folder(tmp_path / "ours", repeats=0)
    figure = score.figure("Avg.")
    assert figure is not None and utils.aggregate(kept) == pytest.approx(100 * figure.value, abs=1e-12)
    assert 0 < figure.value < 1


def test_vlmevalkits_table_holds_questions_answers_and_pictures(items: list[BenchmarkItem], tmp_path: Path) -> None:
    path = write_vlmevalkit(tmp_path, SUITE, items, WORDS)
    csv.field_size_limit(sys.maxsize)
    rows = list(csv.DictReader(path.open(), delimiter="\t"))
    assert [row["id"] for row in rows] == [item.id for item in items]
    assert [row["index"] for row in rows] == [str(k) for k in range(len(items))]
    for row, item in zip(rows, items, strict=True):
        assert row["answer"] == item.record.answer and row["question"]
        shown = Image.open(io.BytesIO(base64.b64decode(row["image"])))
        with Image.open(item.root / item.record.images[0].path) as own:
            assert np.array_equal(np.asarray(shown), np.asarray(own.convert("RGB")))


def test_only_answers_in_words_are_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not answered in words"):
        write_lmms_eval(tmp_path, load_suite("avvg"), [], WORDS)


def test_a_system_text_is_not_left_out(items: list[BenchmarkItem], tmp_path: Path) -> None:
    wording = {"answer": {"system": "Answer in one word.", "user": ["{question}"]}}
    dialect = Dialect.from_dict({**WORDS.to_dict(), "name": "mine", "inherits": "rscovlm-v1", "wording": wording})
    for write in (write_lmms_eval, write_vlmevalkit):
        with pytest.raises(ValueError, match="system text 'Answer in one word.'"):
            write(tmp_path, SUITE, items, dialect)
