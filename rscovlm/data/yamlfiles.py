"""Settings in YAML: recipes, figures, rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def read_yaml(path: str | Path) -> Any:
    """Read one YAML document.

    Raises:
        ValueError: The file is not YAML; the message names it, with line and column.
    """
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        place = f", line {where.line + 1}, column {where.column + 1}" if where is not None else ""
        words = getattr(error, "problem", None) or str(error)
        raise ValueError(f"{Path(path).name}{place} is not YAML: {words}") from error
