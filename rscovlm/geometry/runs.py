"""Runs of a mask down its columns, off and on in turn, and the text into which COCO packs them."""

from __future__ import annotations

from collections.abc import Sequence

_ZERO = ord("0")


def pack(runs: Sequence[int]) -> str:
    """Return run lengths as COCO packs them: five bits a character, lowest first, from the third on as differences to the last but one.

    >>> pack([1, 2, 3])
    '123'
    """
    codes = []
    for index, run in enumerate(runs):
        value = run - (runs[index - 2] if index > 2 else 0)
        while True:
            bits, value = value & 31, value >> 5
            # The last five bits carry the sign in their highest.
            last = value == (-1 if bits & 16 else 0)
            codes.append(bits + (0 if last else 32) + _ZERO)
            if last:
                break
    return bytes(codes).decode("ascii")


def unpack(text: str | bytes) -> list[int]:
    """Return the run lengths that a packed text holds.

    Raises:
        ValueError: A character is none of the code, or the text ends inside a run.

    >>> unpack("123")
    [1, 2, 3]
    """
    codes = text.encode("ascii") if isinstance(text, str) else text
    runs: list[int] = []
    value = shift = 0
    for code in codes:
        bits = code - _ZERO
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError(f"character {chr(code)!r} is not part of a packed run")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the text ends inside a run")
    return runs
