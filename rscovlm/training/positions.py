"""Multimodal rotary positions of a sample, as Qwen2.5-VL and Qwen3-VL count them for images."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from rscovlm.training.encoding import Grid


def multimodal_positions(visual: Sequence[bool], grids: Sequence[Grid], merge: int) -> torch.Tensor:
    """Count time, height and width of every token.

    A text token advances all three. An image's tokens share one time and spread over the rows and columns of its
    merged grid; the text after it continues behind the larger of these.

    Args:
        visual: Whether each token is an image token.
        grids: Patches of each image in time, height and width.
        merge: Patches on a side that make one token.

    Returns:
        (3, tokens) int64.

    Raises:
        ValueError: The image tokens are not those of the grids.

    Examples:
        >>> multimodal_positions([False, True, True, False], [(1, 2, 4)], 2).tolist()
        [[0, 1, 1, 3], [0, 1, 1, 3], [0, 1, 2, 3]]
    """
    parts: list[torch.Tensor] = []
    # Bytes are searched for the next change by the interpreter, not token by token.
    begin, place, unused, shown = 0, 0, list(grids), bytes(map(bool, visual))
    while place < len(shown):
        if not shown[place]:
            end = shown.find(1, place)
            end = len(shown) if end < 0 else end
            parts.append(torch.arange(begin, begin + end - place).expand(3, -1))
            begin += end - place
        else:
            if not unused:
                raise ValueError(f"image tokens from place {place} on, but only {len(grids)} images")
            _, height, width = unused.pop(0)
            rows, columns = height // merge, width // merge
            end = place + rows * columns
            if end > len(shown) or shown.find(0, place, end) >= 0:
                raise ValueError(f"an image of {rows} x {columns} tokens does not end where its tokens do, at {end}")
            grid = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
            parts.append(
                torch.stack([torch.zeros(end - place, dtype=torch.long), *(axis.flatten() for axis in grid)]) + begin
            )
            begin += max(rows, columns)
        place = end
    if unused:
        raise ValueError(f"{len(unused)} of {len(grids)} images have no tokens")
    return torch.cat(parts, dim=1) if parts else torch.zeros(3, 0, dtype=torch.long)
