"""Which grey levels of a mask are which class: `extra["mask_values"]` of a record whose `masks` are label images.

    {"road": [[1, 1], [128, 128]], "building": [[2, 2]]}

is a JSON object of ranges of grey levels, both ends included. A mask without it shows one thing, wherever it is not 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rscovlm.records.jsonfiles import parsed
from rscovlm.records.rows import Row, as_list, as_whole

Ranges = tuple[tuple[int, int], ...]
_ANYTHING: Ranges = ((1, 2**31 - 1),)


def write_mask_values(levels: Mapping[str, Sequence[int | tuple[int, int]]]) -> str:
    """Write the grey levels of each class as text for a record's `extra`.

    Args:
        levels: Class -> grey levels, each a number or (lowest, highest).

    >>> write_mask_values({"road": [1, (128, 255)]})
    '{"road": [[1, 1], [128, 255]]}'
    """
    ranges = {
        name: [[level, level] if isinstance(level, int) else list(level) for level in given]
        for name, given in levels.items()
    }
    return json.dumps(ranges, ensure_ascii=False)


def read_mask_values(extra: Mapping[str, str], categories: Sequence[str] = ()) -> dict[str, Ranges]:
    """Read the grey levels of each class from a record's `extra`; without them, every level but 0 is the one class there is.

    Raises:
        ValueError: The text is not what `write_mask_values` writes, or there are several classes and no text.

    >>> read_mask_values({"mask_values": '{"road": [[1, 1], [128, 255]]}'})
    {'road': ((1, 1), (128, 255))}
    """
    text = extra.get("mask_values", "")
    if text:
        row = Row(parsed(text), "'mask_values'")
        if not row:
            raise ValueError(f"mask_values {text!r} names no class; write {{class: [[lowest, highest]]}}")
        return {name: tuple(map(_range, row.list(name))) for name in row}
    if len(categories) > 1:
        raise ValueError(
            f"a mask shows {', '.join(map(repr, categories))}, and the record's extra lacks 'mask_values'; say which grey level is which"
        )
    return {name: _ANYTHING for name in categories or ("",)}


def select_levels(mask: NDArray[Any], ranges: Ranges) -> NDArray[np.bool_]:
    """Give the pixels of a mask, (h, w), whose grey level lies in one of the ranges.

    >>> select_levels(np.array([[0, 1, 130]]), ((1, 1), (128, 255)))
    array([[False,  True,  True]])
    """
    found = np.zeros(mask.shape, bool)
    for lowest, highest in ranges:
        found |= (mask >= lowest) & (mask <= highest)
    return found


def _range(value: Any) -> tuple[int, int]:
    ends = [as_whole(end, "a grey level") for end in as_list(value, "a range of grey levels")]
    if len(ends) != 2 or ends[0] > ends[1]:
        raise ValueError(f"{value!r} is no range of grey levels; give [lowest, highest]")
    return ends[0], ends[1]
