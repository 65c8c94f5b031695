"""Wordings for every task, style and box kind, and other names for every class of the detection data sets."""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np
import pytest

from rscovlm.codec.categories import spoken
from rscovlm.codec.writing import Style
from rscovlm.data.prompts import synonyms, wording
from rscovlm.data.sources.dior import DIOR
from rscovlm.data.sources.fair1m import FAIR1M
from rscovlm.data.sources.labeltxt import DOTA_20, RSAR, SRSDD
from rscovlm.data.sources.meter_ml import METER_ML
from rscovlm.data.sources.scene_folders import class_name
from rscovlm.geometry.kinds import Kind

HRSC = ["ship"]
SETS = {"DOTA": DOTA_20, "FAIR1M": FAIR1M, "DIOR": DIOR, "SRSDD": SRSDD, "RSAR": RSAR, "HRSC2016": HRSC}
FIELDS = {
    "classification": set(),
    "classification_choices": {"names"},
    "caption": set(),
    "caption_change": set(),
    "vqa": {"question"},
    "vqa_choices": {"question", "options"},
    "grounding": {"what"},
    "detection": {"what"},
}


def _all(task: str, style: Style | None = None, kind: Kind | None = None) -> list[str]:
    """Collect the wordings by drawing them."""
    rng = np.random.default_rng(0)
    drawn = [wording(task, rng, style=style, kind=kind, rephrase=rate) for rate in [0.0] + [1.0] * 300]
    return list(dict.fromkeys(drawn))


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


@pytest.mark.parametrize("task", [task for task in FIELDS if task not in ("grounding", "detection")])
def test_every_task_has_several_wordings_with_its_fields(task: str) -> None:
    _check(_all(task), FIELDS[task])


@pytest.mark.parametrize("task", ["grounding", "detection"])
@pytest.mark.parametrize("style", ["plain", "json"])
@pytest.mark.parametrize("kind", ["hbb", "obb", "quad"])
def test_every_kind_and_style_has_its_own_wordings(task: str, style: Style, kind: Kind) -> None:
    found = _all(task, style, kind)
    _check(found, FIELDS[task])
    assert len(set(found) - set(_all(task, style))) >= 2
    assert found[0] == _all(task, style)[0]
    assert all("JSON" in text for text in found) == (style == "json")
    for other in ("hbb", "obb", "quad"):
        assert other == kind or not set(found) - set(_all(task, style)) & set(_all(task, style, other))


def _check(found: Sequence[str], fields: set[str]) -> None:
    assert len(found) >= 3
    for text in found:
        assert {name for _, name, _, _ in string.Formatter().parse(text) if name} == fields


def test_a_task_without_wordings_is_refused() -> None:
    with pytest.raises(ValueError, match="no wording for task 'detection' in style None"):
        wording("detection", np.random.default_rng(0))
