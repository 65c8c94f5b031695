"""The extra named for a missing package is one that brings it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from rscovlm.extras import EXTRAS, optional

EXTRA_LISTS = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]


def brought(extra: str) -> set[str]:
    """Name the packages that an extra installs, those of the extras it includes too."""
    names: set[str] = set()
    for line in EXTRA_LISTS[extra]:
        included = re.match(r"rscovlm\[([\w,-]+)\]", line)
        if included is None:
            names |= set(re.findall(r"^[\w.-]+", line))
        else:
            names = names.union(*(brought(name) for name in included[1].split(",")))
    return names


@pytest.mark.parametrize("package", EXTRAS)
def test_the_extra_brings_the_package(package: str) -> None:
    assert package.replace("_", "-") in brought(EXTRAS[package])


def test_what_no_extra_brings_is_not_explained_away() -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'nonsense'"), optional():
        import nonsense  # type: ignore[import-not-found]  # noqa: F401
