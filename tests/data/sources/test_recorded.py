"""What users' recipes, records and cards hold of a source: names, splits, tasks, terms and classes stay as recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rscovlm.data.sources import sources
from rscovlm.data.sources.dior import DIOR
from rscovlm.data.sources.fair1m import FAIR1M
from rscovlm.data.sources.labeltxt import DOTA, DOTA_15, DOTA_20, RSAR, SRSDD
from rscovlm.data.sources.loveda import LOVEDA
from rscovlm.data.sources.meter_ml import METER_ML

RECORDED: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("recorded.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", RECORDED["sources"])
def test_a_source_keeps_its_splits_tasks_and_terms(name: str) -> None:
    entry = sources()[name]
    found = {"splits": list(entry.splits), "tasks": list(entry.tasks), "licence": entry.licence}
    assert found == RECORDED["sources"][name]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("DOTA", DOTA_20),
        ("SRSDD", SRSDD),
        ("RSAR", RSAR),
        ("DIOR", DIOR),
        ("FAIR1M", FAIR1M),
        ("LOVEDA", list(LOVEDA)),
        ("METER_ML", METER_ML),
    ],
)
def test_classes_are_spelled_and_ordered_as_published(name: str, found: list[str]) -> None:
    assert found == RECORDED["classes"][name]


def test_later_versions_of_dota_add_classes_at_the_end() -> None:
    assert (RECORDED["classes"]["DOTA"][:15], RECORDED["classes"]["DOTA"][:16]) == (DOTA, DOTA_15)
