"""The tasks of records and the files that hold them name each other."""

from importlib.util import find_spec

import pytest

from rscovlm.records.names import TASKS


@pytest.mark.parametrize(("record", "file"), TASKS.items())
def test_a_task_of_records_has_its_file(record: str, file: str) -> None:
    assert find_spec(f"rscovlm.tasks.{file}") is not None, record
