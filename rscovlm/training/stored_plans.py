"""States of a plan on disk, so that a new process comes to a far row without planning what lies before it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from pathlib import Path
from typing import Any

from rscovlm.files import claim_folder, mark, write_text
from rscovlm.training.plan import LaneState

_LOGGER = logging.getLogger(__name__)

PLAN = "plan"
"""Kind of the folder and of its files."""

APART = 128
"""Packs of a lane between two stored states: what a new process plans at most before it is at a row."""

_NAME = re.compile(r"lane(\d+)-packs(\d+)\.json")


class StoredPlans:
    """A folder in which a `PackedMixture` stores where its lanes stand, every `APART` packs.

    Which samples a row holds depends on all rows before it in its lane, so the first process that asks for a far row plans
    up to it. A later one begins at the last state before the row. Each state is a small file that is written whole or not at all,
    so several processes may use one folder.

    Args:
        folder: Where states are stored; made where it does not exist.
        of: What the plan is made of, in the caller's own words: the data and their version, the processor, the seed. States
            stored under another text are not used. The settings of the packing are added to it.

    Raises:
        ValueError: The folder holds other files, or the text is empty.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plans = StoredPlans(folder, of="five lengths, again and again")
        ...     plans.save(LaneState(0, packs=128, next=300))
        ...     plans.before(0, 200).packs, plans.before(0, 127)
        (128, None)
    """

    def __init__(self, folder: str | os.PathLike[str], *, of: str) -> None:
        if not of:
            raise ValueError("plans are stored of no data; name the data, their version, the processor and the seed")
        self._root = claim_folder(folder, PLAN)
        self._of, self._settings, self._folder = of, "", self._root
        self.settle("")

    def settle(self, settings: str) -> None:
        """Use the states of these settings of a packing and no others."""
        self._settings = settings
        digest = hashlib.sha256(json.dumps([self._of, settings]).encode()).hexdigest()[:16]
        self._folder = self._root / digest

    def save(self, state: LaneState) -> None:
        """Store a state of a lane; one that is there already stays."""
        path = self._folder / f"lane{state.lane}-packs{state.packs}.json"
        if not path.exists():
            self._write(path, {"state": state.to_dict()})

    def before(self, lane: int, packs: int) -> LaneState | None:
        """Return the last stored state of a lane in which it had made no more packs than these; None where there is none."""
        for found in sorted((found for found in self._packs(lane) if found <= packs), reverse=True):
            content = self._read(self._folder / f"lane{lane}-packs{found}.json")
            try:
                state = LaneState.from_dict(content.get("state"))
            except ValueError:  # a file that somebody changed
                continue
            if (state.lane, state.packs) == (lane, found):
                return state
        return None

    def forget(self) -> None:
        """Remove the states of these settings."""
        for path in self._folder.glob("*.json"):
            path.unlink(missing_ok=True)

    @property
    def rows(self) -> int | None:
        """Rows that one pass fills; None where they have not been counted."""
        rows = self._read(self._folder / "rows.json").get("rows")
        return rows if type(rows) is int and rows > 0 else None

    @rows.setter
    def rows(self, rows: int) -> None:
        self._write(self._folder / "rows.json", {"rows": rows})

    def _packs(self, lane: int) -> list[int]:
        """Return the numbers of packs at which states of a lane are stored."""
        names = os.listdir(self._folder) if self._folder.is_dir() else []
        found = [match for match in map(_NAME.fullmatch, names) if match is not None]
        return [int(match[2]) for match in found if int(match[1]) == lane]

    def _write(self, path: Path, content: dict[str, Any]) -> None:
        about = {"mark": mark(PLAN), "of": self._of, "settings": self._settings}
        try:
            self._folder.mkdir(exist_ok=True)
            write_text(path, json.dumps(about | content) + "\n", PLAN)
        except OSError as error:  # a full disk costs time later, not the run
            _LOGGER.warning("the plan is not stored in %s: %s", self._folder, error)

    def _read(self, path: Path) -> dict[str, Any]:
        """Return what a file holds, nothing where it is missing, damaged or of another plan."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        ours = isinstance(content, dict) and (content.get("of"), content.get("settings")) == (self._of, self._settings)
        return content if ours else {}
