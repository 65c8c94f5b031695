"""The columns of a table of records."""

from __future__ import annotations

from typing import Any

from rscovlm.extras import optional
from rscovlm.records.record import LISTS, TEXTS


def features() -> Any:
    """Give the `datasets.Features` of a record's row, so that every shard and the Hub show the same columns."""
    with optional():
        from datasets import Features, Image, List, Value

    text, number, whole = Value("string"), Value("float64"), Value("int64")
    image = {
        "image": Image(decode=False),
        "width": whole,
        "height": whole,
        "time": text,
        "parent": text,
        "window": List(whole),
        "bands": List(whole),
        "gsd": number,
    }
    box = {
        "box": List(number),
        "label": text,
        "kind": text,
        "difficult": Value("bool"),
        "image": whole,
        "polygons": List(List(number)),
    }
    return Features(
        {name: text for name in TEXTS}
        | {name: List(text) for name in LISTS}
        | {
            "images": List(image),
            "masks": List(image),
            "turns": List({"role": text, "text": text}),
            "objects": List(box),
            "regions": List(List(number)),
            "extra": List({"key": text, "value": text}),
        }
    )
