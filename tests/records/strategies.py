"""Random records for property tests."""

from typing import Any

from hypothesis import strategies as st

from rscovlm.records.names import TASKS
from rscovlm.records.record import Annotation, ImageRef, Record, Turn

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAME = st.from_regex(r"[a-z]{1,8}(/[a-z]{1,6})?\.(png|tif)", fullmatch=True)
NUMBER = st.floats(-1e7, 1e7, allow_nan=False)
_SIZES = {"hbb": 4, "obb": 5, "quad": 8}


def _numbers(count: int) -> st.SearchStrategy[tuple[float, ...]]:
    return st.tuples(*[NUMBER] * count)


@st.composite
def images(draw: st.DrawFn) -> ImageRef:
    side = st.integers(0, 30_000)
    width, height, path = draw(side), draw(side), draw(NAME)
    how = draw(st.sampled_from(["path", "data", "window", "tile"]))
    x, y = draw(side), draw(side)
    window = (x, y, x + 1 + draw(side), y + 1 + draw(side))
    if how == "path":
        return ImageRef(path, width=width, height=height, time=draw(TEXT))
    if how == "data":
        return ImageRef(data=draw(st.binary(max_size=20)), width=width, height=height)
    if how == "tile":
        return ImageRef(path, width=width, height=height, parent=draw(NAME), window=window)
    return ImageRef(width=width, height=height, parent=path, window=window)


@st.composite
def boxes(draw: st.DrawFn) -> Annotation:
    kind = draw(st.sampled_from(["hbb", "obb", "quad"]))
    rings = draw(st.lists(_numbers(6), max_size=2).map(tuple))
    return Annotation(draw(_numbers(_SIZES[kind])), draw(TEXT), kind, draw(st.booleans()), 0, rings)  # type: ignore[arg-type]


def _turn() -> st.SearchStrategy[Turn]:
    return st.builds(
        Turn, st.sampled_from(["system", "user", "assistant"]), TEXT.filter(lambda text: "<box:" not in text)
    )


def _many(item: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(item, max_size=2).map(tuple)


def records() -> st.SearchStrategy[Record]:
    """Any structurally valid record, whether or not it is complete for its task."""
    return st.builds(
        Record,
        id=TEXT,
        source=TEXT,
        split=TEXT,
        task=st.sampled_from(sorted(TASKS)),
        images=_many(images()),
        classes=_many(TEXT),
        captions=_many(TEXT),
        question=TEXT,
        answer=TEXT,
        choices=_many(TEXT),
        turns=_many(_turn()),
        expression=TEXT,
        objects=_many(boxes()),
        regions=_many(_numbers(4)),
        categories=_many(TEXT),
        masks=_many(images()),
        extra=st.dictionaries(TEXT, TEXT, max_size=2),
    )
