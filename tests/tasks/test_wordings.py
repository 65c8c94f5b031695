"""Wordings of `rscovlm-v1` for every task, style and box kind, and other names for every class of the detection data sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from rscovlm.codec.categories import spoken
from rscovlm.codec.dialect import Dialect
from rscovlm.codec.wording import PLACES
from rscovlm.codec.writing import Style
from rscovlm.data.sources.dior import DIOR
from rscovlm.data.sources.fair1m import FAIR1M
from rscovlm.data.sources.labeltxt import DOTA_20, RSAR, SRSDD
from rscovlm.data.sources.meter_ml import METER_ML
from rscovlm.data.sources.scene_folders import class_name
from rscovlm.geometry.kinds import Kind
from rscovlm.tasks.options import synonyms

HRSC = ["ship"]
SETS = {"DOTA": DOTA_20, "FAIR1M": FAIR1M, "DIOR": DIOR, "SRSDD": SRSDD, "RSAR": RSAR, "HRSC2016": HRSC}
WORDING = Dialect.preset("rscovlm-v1").wording
VALUES: dict[str, Any] = {name: f"<{name}>" for places in PLACES.values() for name in places}


def _all(task: str, style: Style | None = None, kind: Kind | None = None) -> list[str]:
    """Collect the wordings by choosing each."""
    counts: list[int] = []

    def first(count: int) -> int:
        counts.append(count)
        return 0

    WORDING.ask(task, style=style, kind=kind, pick=first, **VALUES)

    def text(place: int) -> str:
        return WORDING.ask(task, style=style, kind=kind, pick=lambda _: place, **VALUES).user

    return [text(place) for place in range(*counts or [1])]


@pytest.mark.parametrize("name", SETS)
def test_every_class_has_other_names_that_name_no_other_class(name: str) -> None:
    shown = [spoken(label) for label in SETS[name]]
    table = synonyms()
    taken: dict[str, str] = {label: label for label in shown}
    for label in shown:
        others = table[label]
        assert len(others) >= 2, label
        assert len({label, *others}) == 1 + len(others), label
        for other in others:
            assert other == spoken(other)
            assert taken.setdefault(other, label) == label, f"{other!r} means {label!r} and {taken[other]!r} in {name}"


def test_scene_names_of_meter_ml_have_plain_words() -> None:
    assert all(len(synonyms()[class_name(label)]) >= 2 for label in METER_ML)


@pytest.mark.parametrize("task", [task for task in PLACES if task not in ("ground", "detect", "count")])
def test_every_task_has_several_wordings_with_its_fields(task: str) -> None:
    _check(_all(task), set(PLACES[task]))


@pytest.mark.parametrize("task", ["ground", "detect"])
@pytest.mark.parametrize("style", ["plain", "json"])
@pytest.mark.parametrize("kind", ["hbb", "obb", "quad"])
def test_every_kind_and_style_has_its_own_wordings(task: str, style: Style, kind: Kind) -> None:
    found = _all(task, style, kind)
    _check(found, set(PLACES[task]))
    shared = set(_all(task, style, "hbb")) & set(_all(task, style, "obb")) & set(_all(task, style, "quad"))
    assert found[0] in shared and len(set(found) - shared) >= 2
    assert all("JSON" in text for text in found) == (style == "json")
    for other in ("hbb", "obb", "quad"):
        assert other == kind or not (set(found) - shared) & set(_all(task, style, other))


def _check(found: Sequence[str], fields: set[str]) -> None:
    assert len(found) >= 3
    for text in found:
        assert {name for name in VALUES if VALUES[name] in text} == fields
