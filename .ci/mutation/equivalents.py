"""Mutants that change nothing anyone can see, each with its reason."""

from __future__ import annotations

from pathlib import Path

import yaml


class Equivalents:
    """Reasons by the key of a mutant.

    Args:
        reasons: A reason for ``(path, where, was, now)``.
    """

    def __init__(self, reasons: dict[tuple[str, ...], str]) -> None:
        self._reasons = reasons

    @classmethod
    def read(cls, file: Path) -> Equivalents:
        """Read a list of mappings with ``path``, ``where``, ``was``, ``now`` and ``reason``."""
        rows = yaml.safe_load(file.read_text(encoding="utf-8")) or []
        for row in rows:
            missing = {"path", "where", "was", "now", "reason"} - {name for name, text in row.items() if text}
            if missing:
                raise ValueError(f"{file}: {row} lacks {sorted(missing)}; give each equivalent mutant all five")
        return cls({(row["path"], row["where"], row["was"], row["now"]): row["reason"] for row in rows})

    def reason(self, key: tuple[str, ...]) -> str | None:
        """Return why a mutant is equivalent, or nothing where it is not listed."""
        return self._reasons.get(key)
