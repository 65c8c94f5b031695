"""Run with pytest in this folder: the module gives what the library gives."""

from pathlib import Path

import evaluate

from rscovlm.metrics import grounding_accuracy

FOLDER = str(Path(__file__).parent)


def test_module_and_function_agree() -> None:
    found, true = [[0, 0, 10, 10], None, [5, 5, 4, 4, 0]], [[0, 0, 10, 8], [5, 5, 9, 9], [3, 3, 7, 7]]
    result = evaluate.load(FOLDER).compute(predictions=found, references=true)
    assert result == grounding_accuracy(found, true)
    assert result["unanswered"] == 1
