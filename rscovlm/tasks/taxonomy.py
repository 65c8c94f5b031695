"""The taxonomy of remote-sensing tasks as data: which task serves which, with inputs, outputs, prompts, codec and metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from rscovlm.codec.wording import PAPER_MARKS

GROUPS = ("open-vocabulary", "referring", "described object")
"""Groups of tasks by what they ask of a model, as GeoRSMLLM names them."""


@dataclass(frozen=True)
class TaxonomyEntry:
    """One task of the taxonomy.

    Attributes:
        group: One of `GROUPS`.
        task: What the literature calls it.
        file: File of `rscovlm.tasks` that serves it.
        records: Tasks of the records that train it.
        inputs: What is given.
        output: What is answered.
        prompts: Texts of a dialect that ask for it.
        codec: What writes and reads the answer.
        metric: Function of `rscovlm.metrics` that measures it.
    """

    group: str
    task: str
    file: str
    records: tuple[str, ...]
    inputs: str
    output: str
    prompts: tuple[str, ...]
    codec: str
    metric: str

    @property
    def marks(self) -> tuple[str, ...]:
        """The paper's notation for it, where it has one."""
        return tuple(dict.fromkeys(PAPER_MARKS[name] for name in self.prompts if name in PAPER_MARKS))


@cache
def taxonomy() -> tuple[TaxonomyEntry, ...]:
    """Return the taxonomy, in the order of its groups.

    >>> [entry.task for entry in taxonomy() if entry.group == "described object"]
    ['conditional comprehension', 'conditional segmentation', 'referring change detection']
    """
    rows = yaml.safe_load((files("rscovlm.tasks") / "taxonomy.yaml").read_text(encoding="utf-8"))
    return tuple(_entry(row) for row in rows)


def _entry(row: Mapping[str, Any]) -> TaxonomyEntry:
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    return TaxonomyEntry(**values)


def taxonomy_table() -> str:
    """Return the taxonomy as a Markdown table.

    >>> taxonomy_table().splitlines()[0]
    '| group | task | inputs | output | `--task` or function | records | prompts | notation | codec | metric |'
    """
    head = [
        "group",
        "task",
        "inputs",
        "output",
        "`--task` or function",
        "records",
        "prompts",
        "notation",
        "codec",
        "metric",
    ]
    lines = [head, ["---"] * len(head)]
    for one in taxonomy():
        lists = [", ".join(f"`{name}`" for name in names) for names in (one.records, one.prompts, one.marks)]
        name = f"`{'ask' if one.file == 'answer' else one.file}`"
        lines.append([one.group, one.task, one.inputs, one.output, name, *lists, one.codec, f"`{one.metric}`"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
