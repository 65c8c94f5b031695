"""Run with pytest in this folder: the module gives what the library gives."""

from pathlib import Path

import evaluate

from rscovlm.metrics import lrs_vqa_aa

FOLDER = str(Path(__file__).parent)


def test_module_and_function_agree() -> None:
    found = ["gray", "two", "no"]
    true = [{"answer": answer, "category": "c", "source": "FAIR_1"} for answer in ("grey", "2", "yes")]
    result = evaluate.load(FOLDER).compute(predictions=found, references=true)
    assert result == lrs_vqa_aa(found, ["grey", "2", "yes"], categories=["c"] * 3, sources=["FAIR_1"] * 3)
    assert result["overall_accuracy"] == 2 / 3
