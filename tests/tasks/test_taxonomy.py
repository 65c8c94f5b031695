"""The taxonomy names what there is, leaves no task out, and stands on its page as it is."""

from pathlib import Path

import rscovlm.metrics
from rscovlm.codec.dialect import Dialect
from rscovlm.codec.wording import PAPER_MARKS, PLACES
from rscovlm.records.names import TASKS
from rscovlm.tasks.taxonomy import GROUPS, taxonomy, taxonomy_table

PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"


def test_every_name_is_one_of_the_code() -> None:
    wording = Dialect.preset("rscovlm-v1").wording
    for entry in taxonomy():
        assert entry.group in GROUPS
        assert {TASKS[record] for record in entry.records} >= {entry.file}, entry
        assert entry.prompts and all(prompt in PLACES and prompt in wording.tasks for prompt in entry.prompts), entry
        assert callable(getattr(rscovlm.metrics, entry.metric)), entry


def test_no_task_of_the_paper_and_no_mark_is_left_out() -> None:
    wanted = """zero-shot classification, detection, segmentation, comprehension, generation, object reasoning, visual question
    answering, conditional comprehension, conditional segmentation, referring change detection"""
    assert {" ".join(name.split()) for name in wanted.split(",")} <= {entry.task for entry in taxonomy()}
    assert {mark for entry in taxonomy() for mark in entry.marks} == set(PAPER_MARKS.values())
    assert [entry.group for entry in taxonomy()] == sorted((e.group for e in taxonomy()), key=GROUPS.index)
    assert len({(entry.group, entry.task) for entry in taxonomy()}) == len(taxonomy())


def test_the_page_shows_the_table() -> None:
    shown = PAGE.read_text(encoding="utf-8").split("<!-- table: begin -->\n")[1].split("<!-- table: end -->")[0]
    assert shown == taxonomy_table()
