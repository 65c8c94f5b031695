"""What the metrics' web pages share: reading what a person pasted or dropped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_LIMIT = 50_000_000


def read_list(text: str, file: str | None, name: str) -> list[Any]:
    """Return the JSON list in a dropped file or, without one, in pasted text.

    Args:
        text: What was pasted.
        file: Path of the dropped file, or None.
        name: How an error calls the list.

    Raises:
        ValueError: If it is no JSON, no list, or larger than 50 MB.

    Example:
        >>> read_list("[1, 2]", None, "predictions")
        [1, 2]
    """
    if file is not None:
        if Path(file).stat().st_size > _LIMIT:
            raise ValueError(f"the file of {name} has more than {_LIMIT} bytes; evaluate it with the library instead")
        text = Path(file).read_text(encoding="utf-8", errors="replace")
    try:
        items = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{name}: this is no JSON ({error}); give a list with one entry per item") from None
    if not isinstance(items, list):
        raise ValueError(f"{name} is a {type(items).__name__}; give a list with one entry per item")
    return items
