"""Questions of a run, brought together by image, and the images that they share."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rscovlm.rasters import Raster, open_image
from rscovlm.zoom.windows import Limits, ZoomView, show

if TYPE_CHECKING:
    from rscovlm.engines import Engine
    from rscovlm.geometry import Boxes

# Boxes in any frame of the image, or x1, y1, x2, y2 in its original pixels.
Regions = Sequence["Boxes | Sequence[float]"]
Asked = tuple[Any, str, Regions | None]

_MISSING: Any = object()


def image_key(source: Any) -> Hashable:
    """Return what tells images apart without opening them: a path, else the object itself."""
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else id(source)


def by_image(questions: Iterable[Asked], held: int | None) -> Iterator[tuple[int, Asked]]:
    """Yield the questions with their numbers, those about one image one after another.

    Args:
        questions: Images and what is asked about them.
        held: Images that are no paths and may be held at a time, so that a generator of pictures is not read to its end; None for
            any number.
    """
    groups: dict[Hashable, list[tuple[int, Asked]]] = {}
    pictures: set[Hashable] = set()
    for number, asked in enumerate(questions):
        sources = asked[0] if isinstance(asked[0], (list, tuple)) else [asked[0]]
        keys = tuple(image_key(source) for source in sources)
        fresh = {key for key in keys if isinstance(key, int)} - pictures
        if held is not None and pictures and len(pictures) + len(fresh) > held:
            yield from (one for group in groups.values() for one in group)
            groups, pictures = {}, set()
        pictures |= {key for key in keys if isinstance(key, int)}
        groups.setdefault(keys, []).append((number, asked))
    yield from (one for group in groups.values() for one in group)


class Images:
    """The images of a run: each opened once, overviews of the last few kept."""

    def __init__(self, engine: Engine, limits: Limits, keep: int = 16) -> None:
        self._budget, self._limits, self._keep = engine.budget, limits, keep
        self._opened: OrderedDict[Any, tuple[Any, Raster]] = OrderedDict()
        self._overviews: OrderedDict[tuple[int, int], tuple[Raster, ZoomView]] = OrderedDict()

    def open(self, source: Any) -> Raster:
        """Return an image, opened now or before."""
        if isinstance(source, Raster):
            return source
        key = image_key(source)
        if key not in self._opened:
            # The source is kept beside its raster, so that its id stays its own.
            self._opened[key] = source, open_image(source)
            if len(self._opened) > self._keep:
                self._opened.popitem(last=False)
        self._opened.move_to_end(key)
        return self._opened[key][1]

    def overview(self, raster: Raster, source: int, images: int) -> ZoomView:
        """Return what is seen at first of an image, the `source`-th of so many of one question.

        Raises:
            ValueError: The images do not fit into the visual tokens.
        """
        key = id(raster), images
        if key not in self._overviews:
            # Half of the tokens at most, so that there is room to zoom; all of them where half shows nothing.
            shares = (self._limits.max_visual_tokens // (part * images) for part in (2, 1))
            views = (show(raster, None, source, self._budget, share) for share in shares)
            view = next((view for view in views if view is not None), None)
            if view is None:
                raise ValueError(
                    f"{images} image(s) do not fit into {self._limits.max_visual_tokens} visual tokens; "
                    "raise max_visual_tokens or lower the budget's min_pixels"
                )
            self._overviews[key] = raster, view
            if len(self._overviews) > self._keep:
                self._overviews.popitem(last=False)
        self._overviews.move_to_end(key)
        view = self._overviews[key][1]
        return view if view.source == source else ZoomView(view.image, view.frame, view.window, source, view.tokens)


def paired(questions: Iterable[tuple[Any, str]], regions: Iterable[Regions] | None) -> Iterator[Asked]:
    """Yield each question with its image and its regions.

    Raises:
        ValueError: A question is no pair, or there are more or fewer regions than questions.
    """
    given = None if regions is None else iter(regions)
    row = -1
    for row, pair in enumerate(questions):
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise ValueError(f"question {row} is {pair!r}; give a pair of image and question")
        wanted = next(given, _MISSING) if given is not None else None
        if wanted is _MISSING:
            raise ValueError(f"question {row} has no regions; give one sequence of regions for each question")
        yield pair[0], pair[1], wanted
    if given is not None and next(given, _MISSING) is not _MISSING:
        raise ValueError(f"there are more regions than the {row + 1} questions; give one sequence for each question")
