"""An engine that looks at the pixels of its pictures: coloured squares on grey, readable only where they are large enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.engines import Conversation, Reply
from rscovlm.processing.resolution import PixelBudget, plan_size

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (30, 30, 220)}
READABLE = 6
"""Side in pixels from which the colour of a square can be named; smaller ones are a smudge."""


def land(seed: int, squares: Sequence[tuple[str, int, int]], side: int = 1344, size: int = 12) -> Image.Image:
    """Draw squares (colour, x, y) on grey noise."""
    grey = np.random.default_rng(seed).integers(100, 140, (side, side, 1), dtype=np.uint8)
    pixels = np.repeat(grey, 3, axis=2)
    for colour, x, y in squares:
        pixels[y : y + size, x : x + size] = COLOURS[colour]
    return Image.fromarray(pixels)


class Eye:
    """Answers from what can be seen in the pictures of a conversation, and nothing else."""

    def __init__(self, *, logprobs: bool = True, budget: PixelBudget | None = None) -> None:
        self.codec, self.budget, self.logprobs = (
            Codec.preset("rscovlm-v1"),
            budget or PixelBudget(max_pixels=448 * 448),
            logprobs,
        )
        self.batches: list[int] = []

    def generate(
        self, conversations: Sequence[Conversation], *, max_new_tokens: int = 1024, logprobs: bool = False
    ) -> list[Reply]:
        self.batches.append(len(conversations))
        return [self._reply(one, logprobs and self.logprobs) for one in conversations]

    def _reply(self, conversation: Conversation, logprobs: bool) -> Reply:
        seen = [square for image in conversation.images() for square in self.squares(image)]
        users = [turn["content"] for turn in conversation.messages if turn["role"] == "user"]
        text = "\n".join(block["text"] for content in users for block in content if block["type"] == "text")
        known = {name for name, *_ in seen if name}
        if "Would what" in text:
            return _sure(bool(seen), 0.9, logprobs)
        if "Is what" in text:
            return _sure(bool(seen), 0.8, logprobs)
        if "Can this question be answered" in text:
            wanted = 2 if "same colour" in text else 1
            return _sure(len([name for name, *_ in seen if name]) >= wanted, 0.95, logprobs)
        if "ocate" in text or "Where" in text:
            lines = [f"{x - 8},{y - 8},{x + 8},{y + 8} region" for _, x, y in seen]
            return Reply("\n".join(lines) or "There are none.")
        if "helps to answer" in text:
            return Reply(" ".join(f"a {name} square" for name, *_ in seen if name) or "nothing")
        named = [
            word for line in text.splitlines() if line.startswith("- ") for word in line.split() if word in COLOURS
        ]
        names = named or [name for name, *_ in seen if name]
        if "How many" in text:
            return Reply(str(len(names)))
        if "same colour" in text:
            return Reply("unknown" if len(names) < 2 else "yes" if len(set(names)) == 1 else "no")
        return Reply(min(set(names) or known) if names or known else "unknown")

    def squares(self, image: Image.Image) -> list[tuple[str, int, int]]:
        """Return colour (empty for a smudge) and middle of each square, at the size that the model sees."""
        seen = image.convert("RGB").resize(plan_size(*image.size, self.budget), Image.Resampling.BOX)
        pixels = np.asarray(seen, dtype=int)
        found = []
        for rows, columns in blobs(pixels.max(2) - pixels.min(2) > 40):
            side = min(rows.stop - rows.start, columns.stop - columns.start)
            mean = pixels[rows, columns].reshape(-1, 3).mean(0)
            near = min(COLOURS, key=lambda name: float(np.abs(mean - COLOURS[name]).sum()))
            middle = (columns.start + columns.stop) // 2, (rows.start + rows.stop) // 2
            found.append((near if side >= READABLE else "", *middle))
        return found


def blobs(mask: NDArray[np.bool_]) -> Iterator[tuple[slice, slice]]:
    """Yield rows and columns of each group of marked pixels that touch."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    while left:
        front = [left.pop()]
        group = list(front)
        while front:
            y, x = front.pop()
            near = {(y + down, x + across) for down in (-1, 0, 1) for across in (-1, 0, 1)} & left
            left -= near
            front += near
            group += near
        ys, xs = zip(*group, strict=True)
        yield slice(min(ys), max(ys) + 1), slice(min(xs), max(xs) + 1)


def _sure(yes: bool, sure: float, logprobs: bool) -> Reply:
    word = "yes" if yes else "no"
    if not logprobs:
        return Reply(f"{word}, {100 * sure:g}")
    return Reply(word, tokens=2, token_logprobs=[float(np.log(sure)), 0.0], token_texts=[word, ""])
