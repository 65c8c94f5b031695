"""Tasks answered in words: the same question about each of many images."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from rscovlm.engines.engine import Finish, check_engine, replies
from rscovlm.rasters import Raster, open_image
from rscovlm.tasks.task import Question
from rscovlm.zoom.windows import ZoomView, show

if TYPE_CHECKING:
    from rscovlm.engines.engine import Engine


@dataclass(frozen=True)
class WordAnswer:
    """An answer in words.

    Attributes:
        text: What the model wrote, without space at its ends.
        label: For classification among given classes: the class it means, or ``None``; else ``None``.
        finish: How the answer ended.
        tokens: Generated tokens.
        seconds: The engine's time.
    """

    text: str
    label: str | None = None
    finish: Finish = "stop"
    tokens: int = 0
    seconds: float = 0.0


def in_words(
    engine: Engine,
    images: Iterable[Any],
    question: Question,
    batch: int,
    max_new_tokens: int,
) -> Iterator[WordAnswer]:
    """Ask the same question about each image, some images at a time.

    Raises:
        ValueError: There is one image instead of a list of them, or one cannot be read.
    """
    if isinstance(images, (str, bytes, PathLike, Image.Image, np.ndarray, Raster)):
        raise ValueError(f"images is one {type(images).__name__}; give a list of images, such as [image]")
    waiting = iter(images)
    while some := list(islice(waiting, max(1, batch))):
        views = [overview(open_image(image), engine) for image in some]
        asked = [question.conversation([view.image], view.frame) for view in views]
        for reply in replies(engine, asked, max_new_tokens=max_new_tokens):
            yield WordAnswer(reply.text.strip(), None, reply.finish, reply.tokens, reply.seconds)


def overview(raster: Raster, engine: Engine) -> ZoomView:
    """Return the image as the model sees it at once: as large as the budget allows.

    Raises:
        ValueError: The budget shows nothing of it.
    """
    check_engine(engine)
    view = show(raster, None, 0, engine.budget, sys.maxsize)
    if view is None:
        raise ValueError(f"{raster.path} of {raster.width}x{raster.height} pixels cannot be shown; raise max_pixels")
    return view
