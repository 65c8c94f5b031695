"""The tasks there are, by the task of a record and by the name that users give."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import import_module

from rscovlm.records import Record
from rscovlm.records.names import TASKS
from rscovlm.settings.nearest import nearest
from rscovlm.tasks.task import Task

_MODEL_MARK = re.compile(r"<\|\w+\|>")
"""What tokenizers of Qwen models read as one token of their own, such as the end of a turn, wherever it stands."""


@cache
def tasks() -> Mapping[str, Task]:
    """Return the tasks by the name that users give.

    >>> sorted(tasks())[:3]
    ['ask', 'caption', 'change']
    """
    found: list[Task] = [import_module(f"rscovlm.tasks.{file}").TASK for file in TASKS.values()]
    return {task.name: task for task in found}


def task_named(name: str) -> Task:
    """Return a task by the name that users give.

    Raises:
        ValueError: No such name exists; the message names the nearest.
    """
    if name not in tasks():
        raise ValueError(f"task is {name!r}{nearest(name, tasks())}")
    return tasks()[name]


def asked_tasks() -> tuple[str, ...]:
    """Return the names of the tasks that can be asked about images by themselves, in the order of the table.

    >>> asked_tasks()
    ('ask', 'detect', 'ground', 'classify', 'caption', 'count', 'segment', 'change', 'locate', 'conditions')
    """
    return tuple(name for name, task in tasks().items() if type(task).rows is not Task.rows)


def task_of(record: str) -> Task:
    """Return a task by the task of its records.

    Raises:
        ValueError: No such name exists; the message names the nearest.

    >>> task_of("detection").name
    'detect'
    """
    if record not in TASKS:
        raise ValueError(f"no task has records of {record!r}{nearest(record, TASKS)}")
    task: Task = import_module(f"rscovlm.tasks.{TASKS[record]}").TASK
    return task


def tiled(record: str) -> bool:
    """Tell whether a task of records is asked tile by tile; a name that is none, as of joined samples, is not.

    >>> tiled("detection"), tiled("vqa+caption")
    (True, False)
    """
    return record in TASKS and task_of(record).tiled


def lists_objects(record: Record) -> bool:
    """Tell whether a record lists all objects of its categories on one image of known size, so that it can be counted or cut."""
    sized = len(record.images) == 1 and bool(record.images[0].width and record.images[0].height)
    return sized and task_of(record.task).dense


def looks(record: str) -> bool:
    """Tell whether samples of a task of records show a closer look; a name that is none does not.

    >>> looks("zoom"), looks("vqa+caption")
    (True, False)
    """
    return record in TASKS and task_of(record).looks


def problems(record: Record) -> list[str]:
    """Return what a record's task needs and it lacks, one short reason each; the first is what it is counted by.

    >>> problems(Record("1", "mine", "train", "caption"))
    ['no caption', 'no image']
    """
    task = task_of(record.task)
    reasons = [reason for lacks, reason in task.needs(record) if lacks]
    if not record.images and task.pictured:
        reasons.append("no image")
    if any("<|" in text and _MODEL_MARK.search(text) for text in record.texts()):
        reasons.append("special token in the text")
    if not _writable(record):
        reasons.append("text is not Unicode")
    return reasons


def _writable(record: Record) -> bool:
    """Tell whether the texts can be written: half a surrogate pair, or a byte that was no UTF-8, cannot."""
    texts = [record.id, record.source, record.split, *record.texts()]
    texts += [image.path for image in (*record.images, *record.masks)]
    texts += [text for pair in record.extra.items() for text in pair]
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True
