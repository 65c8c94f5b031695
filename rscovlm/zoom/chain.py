"""Questions about images of any size: look at the whole, zoom in where the answer lies, answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

from rscovlm.codec.control_tokens import check_words
from rscovlm.engines.engine import check_engine, dialect_of, replies
from rscovlm.rasters import Raster, open_image
from rscovlm.zoom.episode import Episode
from rscovlm.zoom.layouts import Layout, Message, ZoomWords, check_layout
from rscovlm.zoom.result import Step, ZoomResult
from rscovlm.zoom.windows import Limits, ZoomView, show

if TYPE_CHECKING:
    from rscovlm.engines import Engine
    from rscovlm.geometry import Boxes

# Boxes in any frame of the image, or x1, y1, x2, y2 in its original pixels.
Regions = Sequence["Boxes | Sequence[float]"]

_MISSING: Any = object()


class ZoomChain:
    """Asks a model about images and reads the regions it wants to see from the original.

    Args:
        engine: Who answers: any :class:`~rscovlm.engines.Engine`.
        max_steps: Windows shown for one question at most; 0 never zooms.
        max_visual_tokens: Visual tokens of all images shown for one question, overviews included.
        min_side: Smallest side of a window in original pixels; smaller regions are shown with context around them.
        max_refusals: Broken calls that may be tried again before the answer is asked for.
        layout: ``"reference"`` (released RSCoVLM checkpoints) or ``"native"`` (the template's own tools).
        max_new_tokens: Limit of generated tokens of each reply.
        in_flight: Questions of :meth:`ask_many` whose images are held at a time.

    Raises:
        ValueError: A limit or the layout has no meaning.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        max_steps: int = 3,
        max_visual_tokens: int = 3000,
        min_side: int = 28,
        max_refusals: int = 1,
        layout: Layout = "reference",
        max_new_tokens: int = 512,
        in_flight: int = 64,
    ) -> None:
        check_engine(engine)
        if not all(isinstance(number, Integral) and number >= 1 for number in (in_flight, max_new_tokens)):
            raise ValueError(
                f"in_flight is {in_flight!r} and max_new_tokens {max_new_tokens!r}; give whole numbers from 1 up"
            )
        self.engine = engine
        self.limits = Limits(max_steps, max_visual_tokens, min_side, max_refusals)
        self.layout = check_layout(layout)
        self.max_new_tokens = max_new_tokens
        self.in_flight = in_flight

    def ask(self, image: Any, question: str, *, zoom: bool = True, regions: Regions | None = None) -> ZoomResult:
        """Answer a question about an image, or about a list of images.

        Args:
            image: Whatever ``open_image`` takes (path, bytes, PIL image, array, Raster), or a list of those.
            question: The question.
            zoom: False asks for the answer at once, without the tool.
            regions: Oracle: show these regions of the (first) image as if the model had asked for them, then take its
                answer.

        Raises:
            ValueError: An image cannot be read or does not fit into the visual tokens, or the engine does not answer
                as it must.
        """
        return self.ask_many([(image, question)], zoom=zoom, regions=None if regions is None else [regions])[0]

    def ask_many(
        self,
        questions: Iterable[tuple[Any, str]],
        *,
        zoom: bool = True,
        regions: Iterable[Regions] | None = None,
    ) -> list[ZoomResult]:
        """Answer many questions, each stage of all of them as one batch.

        Args:
            questions: Pairs of image (or list of images) and question. An image that several questions share is opened
                and shrunk once.
            zoom: As for :meth:`ask`.
            regions: As for :meth:`ask`, one sequence for each question.

        Returns:
            Results in the order of the questions.
        """
        pool = _Images(self.engine, self.limits)
        waiting = enumerate(_paired(questions, regions))
        results: dict[int, ZoomResult] = {}
        running: dict[int, Episode] = {}
        while True:
            for number, (image, question, wanted) in waiting:
                running[number] = self._start(pool, image, question, zoom, wanted)
                if len(running) >= self.in_flight:
                    break
            if not running:
                return [results[number] for number in sorted(results)]
            episodes = list(running.items())
            answers = replies(self.engine, [one.pending for _, one in episodes], max_new_tokens=self.max_new_tokens)
            for (number, episode), reply in zip(episodes, answers, strict=True):
                episode.receive(reply)
                if episode.done:
                    results[number] = running.pop(number).result()

    def stream(self, image: Any, question: str, *, zoom: bool = True) -> Iterator[Step | ZoomResult]:
        """Answer a question and yield each :class:`Step` as it happens, then the :class:`ZoomResult`."""
        episode = self._start(_Images(self.engine, self.limits), image, question, zoom, None)
        while not episode.done:
            (reply,) = replies(self.engine, [episode.pending], max_new_tokens=self.max_new_tokens)
            yield episode.receive(reply)
        yield episode.result()

    def start(self, image: Any, question: str, *, zoom: bool = True) -> Episode:
        """Return the question as an :class:`Episode`, for callers that generate themselves."""
        return self._start(_Images(self.engine, self.limits), image, question, zoom, None)

    def overviews(self, rasters: Sequence[Raster]) -> list[ZoomView]:
        """Return what the model sees of some images at first, when all of them belong to one question."""
        pool = _Images(self.engine, self.limits)
        return [pool.overview(raster, source, len(rasters)) for source, raster in enumerate(rasters)]

    def go_on(
        self,
        rasters: Sequence[Raster],
        overviews: Sequence[ZoomView],
        question: str,
        *,
        zoom: bool = True,
        before: Sequence[Message] = (),
        system: str | None = None,
    ) -> Episode:
        """Return a question in a conversation that has begun as an :class:`Episode`.

        Args:
            rasters: The images of all turns, in order; none for a conversation in words alone.
            overviews: What :meth:`overviews` gave for them.
            question: What is asked now.
            zoom: False asks for the answer at once.
            before: The turns before, with the first of ``overviews`` in their image blocks; the rest are shown with the
                question.
            system: What the user's own system turn says.
        """
        offered = zoom and bool(rasters) and self.limits.max_steps > 0
        return self._episode(rasters, overviews, question, zoom=offered, before=before, system=system)

    def _episode(
        self, rasters: Sequence[Raster], overviews: Sequence[ZoomView], question: str, **options: Any
    ) -> Episode:
        return Episode(
            rasters,
            overviews,
            question,
            codec=self.engine.codec,
            budget=self.engine.budget,
            limits=self.limits,
            layout=self.layout,
            words=ZoomWords(**dialect_of(self.engine).wording.zoom),
            **options,
        )

    def _start(self, pool: _Images, image: Any, question: str, zoom: bool, regions: Regions | None) -> Episode:
        if not isinstance(question, str):
            raise ValueError(f"question is {question!r}; give a string (the image comes first, then the question)")
        check_words(question, f"question {question[:80]!r}")
        sources = list(image) if isinstance(image, (list, tuple)) else [image]
        if not sources:
            raise ValueError(f"question {question!r} has no image; give at least one")
        rasters = [pool.open(source) for source in sources]
        overviews = [pool.overview(raster, source, len(rasters)) for source, raster in enumerate(rasters)]
        if regions is None:
            return self.go_on(rasters, overviews, question, zoom=zoom)
        episode = self._episode(rasters, overviews, question)
        for region in regions:
            episode.look(region)
        return episode


class _Images:
    """The images of a run: each opened once, overviews of the last few kept."""

    def __init__(self, engine: Engine, limits: Limits, keep: int = 16) -> None:
        self._budget, self._limits, self._keep = engine.budget, limits, keep
        self._opened: OrderedDict[Any, tuple[Any, Raster]] = OrderedDict()
        self._overviews: OrderedDict[tuple[int, int], tuple[Raster, ZoomView]] = OrderedDict()

    def open(self, source: Any) -> Raster:
        if isinstance(source, Raster):
            return source
        key = source if isinstance(source, str) else id(source)
        if key not in self._opened:
            # The source is kept beside its raster, so that its id stays its own.
            self._opened[key] = source, open_image(source)
            if len(self._opened) > self._keep:
                self._opened.popitem(last=False)
        return self._opened[key][1]

    def overview(self, raster: Raster, source: int, images: int) -> ZoomView:
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
        view = self._overviews[key][1]
        return view if view.source == source else ZoomView(view.image, view.frame, view.window, source, view.tokens)


def _paired(
    questions: Iterable[tuple[Any, str]], regions: Iterable[Regions] | None
) -> Iterator[tuple[Any, str, Regions | None]]:
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
