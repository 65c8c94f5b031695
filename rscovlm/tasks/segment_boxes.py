"""Segmentation by a model that only knows boxes: it is asked as for detection and grounding, and a segmenter draws the masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rscovlm.codec.point_objects import PointObject
from rscovlm.codec.writing import Style
from rscovlm.points.box_masks import box_prompts
from rscovlm.points.refining import segment_refined
from rscovlm.points.segmenter import FilledShapes, Segmenter
from rscovlm.rasters import open_image
from rscovlm.tasks.detect import detect
from rscovlm.tasks.ground import ground
from rscovlm.tasks.segmented import Segmented

if TYPE_CHECKING:
    from rscovlm.engines.engine import Engine


def segment_boxes(
    engine: Engine,
    image: Any,
    classes: Iterable[str] = (),
    *,
    expressions: Iterable[str] = (),
    segmenter: Segmenter | None = None,
    tile: int | None = None,
    overlap: float | None = None,
    style: Style | None = None,
    constrained: bool = False,
    refine: int = 0,
    **limit: Any,
) -> Segmented:
    """Find boxes of class names and expressions as `detect` and `ground` do, and return the masks of what is in them.

    Args:
        engine: Who answers.
        image: Whatever ``open_image`` takes.
        classes: Class names, asked for in one question.
        expressions: Referring expressions, each asked by itself.
        segmenter: Who draws masks; by default boxes are filled.
        tile: As for `detect`.
        overlap: As for `detect`.
        style: Style of the answers; by default the dialect's.
        constrained: Hold the model to the codec's grammar.
        refine: How often masks are drawn again, from their own boxes and two points inside: `segment_refined`.
        limit: ``max_new_tokens``, the limit of an answer.

    Returns:
        As `segment`; its prompts are boxes without points.

    Raises:
        ValueError: Nothing is asked for, the image cannot be read, or the segmenter gives something else than masks.
        TypeError: One string instead of a list.
    """
    for given in (classes, expressions):
        if isinstance(given, str):
            raise TypeError(f"{given!r} is one string; give a list of names")
    names, phrases = list(classes), list(expressions)
    if not names and not phrases:
        raise ValueError("there is nothing to segment; give classes or expressions")
    raster = open_image(image)
    problems: Counter[str] = Counter()
    prompts: list[PointObject] = []
    texts: list[str] = []
    asked: dict[str, Any] = {"style": style, "constrained": constrained, **limit}
    if names:
        found = detect(engine, raster, names, tile=tile, overlap=overlap, **asked)
        problems.update(found.problems)
        prompts += box_prompts(found.objects, raster.frame)
    for one in ground(engine, raster, phrases, **asked) if phrases else ():
        problems.update(one.problems)
        prompts += box_prompts(one.objects, raster.frame)
        texts.append(one.text)
    drawn = segment_refined(segmenter or FilledShapes(), raster, prompts, rounds=refine)
    problems["empty_mask"] += sum(not mask.area for mask in drawn)
    pairs = [(one.label, mask) for one, mask in zip(prompts, drawn, strict=True) if mask.area]
    return Segmented.of(pairs, prompts, raster.frame, problems, texts)
