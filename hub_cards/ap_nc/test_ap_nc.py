"""Run with pytest in this folder: the module gives what the library gives."""

from pathlib import Path

import evaluate

from rscovlm.metrics import ap_nc

FOLDER = str(Path(__file__).parent)


def test_module_and_function_agree() -> None:
    square = [[0, 0, 10, 0, 10, 10, 0, 10]]
    found = [{"boxes": square * 2, "labels": ["ship", "plane"]}, {"boxes": [], "labels": []}]
    true = [{"boxes": square, "labels": ["ship"]}, {"boxes": square, "labels": ["ship"], "difficult": [True]}]
    result = evaluate.load(FOLDER).compute(predictions=found, references=true)
    assert result == ap_nc(found, true)
    assert result["ap_nc50"]["mean"] == 1.0
