"""The conventions that a figure may follow, by what is scored; where two share a name, each is named apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from rscovlm.metrics.lrs_vqa import same_answer
from rscovlm.metrics.matched_detections import PROTOCOLS
from rscovlm.metrics.options import OPTION_RULES
from rscovlm.metrics.rules import RULES

WordRule = Callable[[str, str], float | None]

WORDS: Mapping[str, WordRule] = {
    **RULES,
    "lrs_vqa": partial(same_answer, normalisation="official"),
    "rscovlm_lrs_vqa": partial(same_answer, normalisation="rscovlm"),
}
"""Rules of answers in words: those of `rscovlm.metrics.rules`, and LRS-VQA's as published and as the reference runs it."""

OPTIONS = OPTION_RULES
"""Rules that look at the choices of a question."""

BOXES = ("iou>0.5", "iou>=0.5", "iou>0.75", "pointing", "rscovlm")
"""Conventions of grounding: overlaps, boxes read by the dialect's codec; ``pointing`` asks for the centre of the answer
inside the true box; ``rscovlm`` reads answers and overlaps as the reference system does, its limits included."""

DETECTIONS: tuple[str, ...] = tuple(PROTOCOLS)
"""Protocols of AP_nc; see `rscovlm.metrics.ap_nc`."""

MASKS = ("giou", "ciou", "miou", "f1", "precision>0.5", "precision>=0.5")
"""Conventions of segmentation: ``giou`` (mean IoU of items, 1 where both masks are empty), ``ciou`` (all intersections over all unions,
also called oIoU), ``miou`` (mean IoU of items of which one mask at least is not empty), ``f1`` (of all pixels of all items); "mIoU" in papers means either of two. See
`rscovlm.metrics.mask_iou` and `rscovlm.metrics.change_score`."""

CAPTIONS = ("cider", "bleu4", "bleu1", "rouge_l")
"""Conventions of captions; see `rscovlm.metrics.caption_scores`."""

CONVENTIONS: Mapping[str, tuple[str, ...]] = {
    "words": (*WORDS, *OPTIONS),
    "boxes": BOXES,
    "detections": DETECTIONS,
    "masks": MASKS,
    "captions": CAPTIONS,
}
