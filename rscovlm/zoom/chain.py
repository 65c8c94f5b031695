"""Questions about images of any size: look at the whole, zoom in where the answer lies, answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from numbers import Integral
from typing import TYPE_CHECKING, Any

from rscovlm.codec.control_tokens import check_words
from rscovlm.codec.wording import Prompt
from rscovlm.engines.engine import Reply, check_engine, dialect_of, replies
from rscovlm.engines.unstated import check_stated
from rscovlm.rasters import Raster
from rscovlm.rasters.ground import ground_sample_distance
from rscovlm.zoom.asked import Images, Regions, by_image, paired
from rscovlm.zoom.episode import Episode
from rscovlm.zoom.layouts import Layout, Message, ZoomWords, check_layout
from rscovlm.zoom.policies import policy_named
from rscovlm.zoom.policies.inquiry import EngineCall, Inquiry, Policy, answer_calls
from rscovlm.zoom.result import Step, ZoomResult
from rscovlm.zoom.search import Search
from rscovlm.zoom.windows import Limits, ZoomView

if TYPE_CHECKING:
    from rscovlm.engines import Engine


OWN_STEPS = 3
"""Windows that a model may ask for where nobody says how many."""


class ZoomChain:
    """Asks a model about images and reads the regions it wants to see from the original.

    Args:
        engine: Who answers: any :class:`~rscovlm.engines.Engine`.
        max_steps: Windows shown for one question at most; 0 never zooms. None allows the model's own calls `OWN_STEPS`, and a policy as
            many as it chooses and `max_visual_tokens` hold.
        max_visual_tokens: Visual tokens of all images shown for one question, overviews included.
        min_side: Smallest side of a window in original pixels; smaller regions are shown with context around them.
        max_refusals: Broken calls that may be tried again before the answer is asked for.
        layout: ``"reference"`` (released RSCoVLM checkpoints) or ``"native"`` (the template's own tools); None for what the
            engine's server publishes, else the reference.
        max_new_tokens: Limit of generated tokens of each reply.
        in_flight: Questions of :meth:`ask_many` whose images are held at a time.
        policy: Who decides where to look: ``call`` (the model's own calls, as in the paper), ``none`` (the overview alone), the
            name of a policy (``tree``, ``grid``, ``assess``, ``branch``, ``vote``, ``distance``), or an object of
            `rscovlm.zoom.policies`. A policy has limits of its own for looking; those here hold for the answer.

    Raises:
        ValueError: A limit, the layout or the policy has no meaning.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        max_steps: int | None = None,
        max_visual_tokens: int = 3000,
        min_side: int = 28,
        max_refusals: int = 1,
        layout: Layout | None = None,
        max_new_tokens: int = 512,
        in_flight: int = 64,
        policy: str | Policy = "call",
    ) -> None:
        check_engine(engine)
        if not all(isinstance(number, Integral) and number >= 1 for number in (in_flight, max_new_tokens)):
            raise ValueError(
                f"in_flight is {in_flight!r} and max_new_tokens {max_new_tokens!r}; give whole numbers from 1 up"
            )
        self.engine = engine
        self.limits = Limits(OWN_STEPS if max_steps is None else max_steps, max_visual_tokens, min_side, max_refusals)
        self._chosen = max_steps
        self._layout = None if layout is None else check_layout(layout)
        self.max_new_tokens = max_new_tokens
        self.in_flight = in_flight
        self.policy = policy_named(policy) if isinstance(policy, str) and policy not in ("call", "none") else policy

    @property
    def layout(self) -> Layout:
        """The layout of conversations."""
        return self._layout or check_layout(getattr(self.engine, "layout", None) or "reference")

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
        pictures: bool = True,
    ) -> list[ZoomResult]:
        """Answer many questions, each stage of all of them as one batch.

        Args:
            questions: Pairs of image (or list of images) and question, in any order; see :meth:`ask_iter`.
            zoom: As for :meth:`ask`.
            regions: As for :meth:`ask`, one sequence for each question.
            pictures: Whether results keep the pictures that the model was shown, some megabytes a question. Without them
                nothing can be drawn.

        Returns:
            Results in the order of the questions.
        """
        results = dict(self.ask_iter(questions, zoom=zoom, regions=regions, pictures=pictures))
        return [results[number] for number in sorted(results)]

    def ask_iter(
        self,
        questions: Iterable[tuple[Any, str]],
        *,
        zoom: bool = True,
        regions: Iterable[Regions] | None = None,
        pictures: bool = False,
    ) -> Iterator[tuple[int, ZoomResult]]:
        """Answer many questions as :meth:`ask_many` does and yield each result as soon as there is one.

        Questions about one image are asked one after another, whatever their order, so that it is opened and shrunk
        once. For this all questions are read first; of an iterator only as many as hold ``in_flight`` images that are no
        paths.

        Args:
            questions: As for :meth:`ask_many`.
            zoom: As for :meth:`ask`.
            regions: As for :meth:`ask_many`.
            pictures: As for :meth:`ask_many`; here they are dropped by default.

        Yields:
            The number of a question, from 0, and its result.
        """
        pool = Images(self.engine, self.limits)
        held = None if isinstance(questions, (list, tuple)) else self.in_flight
        waiting = by_image(paired(questions, regions), held)
        running: dict[int, Episode | Search] = {}
        while True:
            for number, (image, question, wanted) in islice(waiting, self.in_flight - len(running)):
                running[number] = self._start(pool, image, question, zoom, wanted)
            if not running:
                return
            for number, episode in self._advanced(running):
                del running[number]
                yield number, episode.result() if pictures else episode.result().without_pictures()

    def stream(self, image: Any, question: str, *, zoom: bool = True) -> Iterator[Step | ZoomResult]:
        """Answer a question and yield each :class:`Step` as it happens, then the :class:`ZoomResult`."""
        if isinstance(self.policy, str):
            episode = self._begin(Images(self.engine, self.limits), image, question, zoom, None)
            while not episode.done:
                (reply,) = replies(self.engine, [episode.pending], max_new_tokens=self.max_new_tokens)
                yield episode.receive(reply)
            yield episode.result()
        else:
            result = self.ask(image, question, zoom=zoom)
            yield from result.steps
            yield result

    def start(self, image: Any, question: str, *, zoom: bool = True) -> Episode:
        """Return the question as an :class:`Episode` of the model's own calls, for callers that generate themselves."""
        return self._begin(Images(self.engine, self.limits), image, question, zoom, None)

    def overviews(self, rasters: Sequence[Raster]) -> list[ZoomView]:
        """Return what the model sees of some images at first, when all of them belong to one question."""
        pool = Images(self.engine, self.limits)
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
        if offered:
            check_stated(self.engine, "ask with a closer look")
        return self._episode(rasters, overviews, question, zoom=offered, before=before, system=system)

    def search(
        self,
        rasters: Sequence[Raster],
        overviews: Sequence[ZoomView],
        question: str,
        *,
        before: Sequence[Message] = (),
        system: str | None = None,
        max_calls: int | None = None,
        max_visual_tokens: int | None = None,
    ) -> Search:
        """Return a question under the chain's policy as a :class:`Search`, for callers that generate themselves.

        Args:
            rasters: The images of all turns, in order.
            overviews: What :meth:`overviews` gave for them.
            question: What is asked now.
            before: As for :meth:`go_on`.
            system: As for :meth:`go_on`.
            max_calls: Conversations for looking at most, where that is fewer than the policy's own limit.
            max_visual_tokens: Visual tokens of these, likewise.

        Raises:
            ValueError: The chain has no policy that searches, or there is no image.
        """
        policy = self.policy
        if isinstance(policy, str) or not rasters:
            raise ValueError(
                f"policy is {policy!r} with {len(rasters)} image(s); give a policy that searches, and an image"
            )
        check_stated(self.engine, "ask with a closer look")
        inquiry = Inquiry(
            question,
            rasters,
            overviews,
            dialect_of(self.engine),
            self.engine.budget,
            self.limits,
            policy.max_calls if max_calls is None else min(policy.max_calls, max_calls),
            policy.max_visual_tokens if max_visual_tokens is None else min(policy.max_visual_tokens, max_visual_tokens),
            before=before,
            system=system,
        )

        def answer(zoom: bool) -> Episode:
            return self._episode(rasters, overviews, question, zoom=zoom, before=before, system=system)

        return Search(policy, inquiry, answer, self.max_new_tokens, most=self._chosen)

    def _advanced(self, running: dict[int, Episode | Search]) -> Iterator[tuple[int, Episode | Search]]:
        """Have the engine answer what all questions ask, in one batch for each kind, and yield those that are done."""
        asked = [
            (number, call)
            for number, one in running.items()
            for call in (
                one.calls if isinstance(one, Search) else [EngineCall(one.pending, self.max_new_tokens, False, 0)]
            )
        ]
        given = answer_calls(self.engine, [call for _, call in asked])
        mine: dict[int, list[Reply]] = {}
        for (number, _), reply in zip(asked, given, strict=True):
            mine.setdefault(number, []).append(reply)
        for number, one in list(running.items()):
            said = mine.get(number, [])  # none where a policy decided without asking
            if isinstance(one, Search) and said:
                one.receive(said)
            elif isinstance(one, Episode):
                one.receive(said[0])
            if one.done:
                yield number, one

    def _episode(
        self, rasters: Sequence[Raster], overviews: Sequence[ZoomView], question: str, **options: Any
    ) -> Episode:
        wording = dialect_of(self.engine).wording
        asked = question
        if wording.gsd and overviews:
            asked = Prompt(None, question, wording.gsd).stated(ground_sample_distance(overviews[0].frame))
        return Episode(
            rasters,
            overviews,
            question,
            codec=self.engine.codec,
            budget=self.engine.budget,
            limits=self.limits,
            layout=self.layout,
            words=ZoomWords(**wording.zoom),
            asked=asked,
            **options,
        )

    def _start(self, pool: Images, image: Any, question: str, zoom: bool, regions: Regions | None) -> Episode | Search:
        """Return a question under the chain's policy; one that may not zoom, or that is shown regions, needs none."""
        if isinstance(self.policy, str) or not zoom or regions is not None:
            return self._begin(pool, image, question, zoom and self.policy != "none", regions)
        rasters, overviews = self._opened(pool, image, question)
        return self.search(rasters, overviews, question)

    def _begin(self, pool: Images, image: Any, question: str, zoom: bool, regions: Regions | None) -> Episode:
        rasters, overviews = self._opened(pool, image, question)
        if regions is None:
            return self.go_on(rasters, overviews, question, zoom=zoom)
        check_stated(self.engine, "ask with a closer look")
        episode = self._episode(rasters, overviews, question)
        for region in regions:
            episode.look(region)
        return episode

    def _opened(self, pool: Images, image: Any, question: str) -> tuple[list[Raster], list[ZoomView]]:
        """Open the images of a question and plan their overviews."""
        if not isinstance(question, str):
            raise ValueError(f"question is {question!r}; give a string (the image comes first, then the question)")
        check_words(question, f"question {question[:80]!r}")
        sources = list(image) if isinstance(image, (list, tuple)) else [image]
        if not sources:
            raise ValueError(f"question {question!r} has no image; give at least one")
        rasters = [pool.open(source) for source in sources]
        return rasters, [pool.overview(raster, source, len(rasters)) for source, raster in enumerate(rasters)]
