"""Render and refine: a model is shown the masks that were drawn from its answer, and answers again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rscovlm.codec.point_objects import PointObject
from rscovlm.codec.set_of_points import SetOfPoints
from rscovlm.codec.writing import Style
from rscovlm.engines.engine import check_engine, dialect_of, replies
from rscovlm.exports.mask_drawing import tint_masks
from rscovlm.geometry.masks import Mask
from rscovlm.points.segmenter import FilledShapes, Segmenter
from rscovlm.points.tiled import segment as draw_masks
from rscovlm.rasters import open_image
from rscovlm.tasks.areas import ask_sets, read_sets
from rscovlm.tasks.segmented import Segmented
from rscovlm.tasks.words import overview

if TYPE_CHECKING:
    from rscovlm.engines.engine import Engine


def segment_again(
    engine: Engine,
    image: Any,
    found: Segmented,
    *,
    segmenter: Segmenter | None = None,
    rounds: int = 1,
    style: Style | None = None,
    constrained: bool = False,
    max_new_tokens: int = 2048,
) -> Segmented:
    """Show a model the masks of each label on the image, have it give box and points again, and draw the masks of these.

    The masks of a label stay as they are where the new answer names no object, and are counted as ``kept_first``.

    Args:
        engine: Who answers.
        image: The image that was segmented; it is shown as a whole.
        found: What `segment` returned.
        segmenter: Who draws masks; by default boxes are filled.
        rounds: How often; each shows the masks of the one before.
        style: Style of the answers; by default the dialect's.
        constrained: Hold the model to the codec's grammar.
        max_new_tokens: Limit of an answer.

    Raises:
        ValueError: ``rounds`` is below 1, the image cannot be read, or the segmenter gives something else than masks.
    """
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}; give 1 or more")
    check_engine(engine)
    dialect, raster = dialect_of(engine), open_image(image)
    text, view = SetOfPoints(dialect.codec), overview(raster, engine)
    largest = max(view.frame.width, view.frame.height) if constrained else None
    for _ in range(rounds):
        labels = list(dict.fromkeys(found.labels))
        masks = {label: _of(found, label) for label in labels}
        asked = [
            ask_sets(dialect, "segment_again", "prompt", [label], targets=[label], style=style, largest=largest)
            for label in labels
        ]
        shown = [tint_masks(view.image, masks[label], view.frame) for label in labels]
        sent = [one.conversation([picture], view.frame) for one, picture in zip(asked, shown, strict=True)]
        answers = replies(engine, sent, max_new_tokens=max_new_tokens) if sent else []
        problems: Counter[str] = Counter(found.problems)
        pairs: list[tuple[str, Mask]] = []
        prompts: list[PointObject] = []
        for label, reply in zip(labels, answers, strict=True):
            own = [one.to(raster.frame) for one in read_sets(text, reply, view.frame, "prompt", [label], problems)]
            drawn = draw_masks(segmenter or FilledShapes(), raster, own)
            if not any(mask.area for mask in drawn):
                problems["kept_first"] += 1
                drawn = list(masks[label])
                own = [one for one in found.prompts if one.label == label]
            problems["empty_mask"] += sum(not mask.area for mask in drawn)
            pairs += [(label, mask) for mask in drawn if mask.area]
            prompts += own
        texts = (*found.texts, *(reply.text for reply in answers))
        found = Segmented.of(pairs, prompts, raster.frame, problems, texts)
    return found


def _of(found: Segmented, label: str) -> Sequence[Mask]:
    return [mask for name, mask in zip(found.labels, found.masks, strict=True) if name == label]
