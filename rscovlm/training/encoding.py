"""A sample as tokens: what the model reads, what of it is trained, how many visual tokens each image takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image
from transformers.utils.chat_template_utils import render_jinja_template

from rscovlm.data.pictures import loaded
from rscovlm.data.tally import Rejected
from rscovlm.data.views import PADDING
from rscovlm.processing import plan_size

IGNORED = -100
"""Label of a token that carries no loss."""

Sample = Mapping[str, Any]
Grid = tuple[int, int, int]


@dataclass(frozen=True)
class Encoded:
    """One sample's tokens.

    Attributes:
        ids: Token ids, image tokens expanded.
        labels: The same ids where the loss falls, `IGNORED` elsewhere.
        grids: Patches of each image in time, height and width, planned from its size without looking at its pixels.
    """

    ids: list[int]
    labels: list[int]
    grids: tuple[Grid, ...]

    def __len__(self) -> int:
        """Return the number of tokens, visual ones included."""
        return len(self.ids)

    @property
    def trained(self) -> int:
        """Number of tokens the loss falls on."""
        return sum(label != IGNORED for label in self.labels)


class Encoder:
    """Renders samples with a processor's chat template and tokenises them.

    A sample is ``{"messages": [...], "images": [PIL, ...], "tools": [...] or None}``. Every ``{"type": "image"}`` block
    takes the next image, in user turns and tool turns alike. The loss falls on what the template marks as generated:
    each assistant turn with its end mark (paper, equation 5). Text is tokenised up to each mark and after it separately,
    so no token straddles the border, as at inference.

    Args:
        processor: An `RSCoVLMProcessor`.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, sample: Sample, name: str = "the sample") -> Encoded:
        """Encode a sample.

        Args:
            sample: What to encode; its images need only a ``size``.
            name: What errors call it.

        Raises:
            ValueError: Nothing in it is trained, or the numbers of images and image blocks differ.
        """
        images = sample.get("images") or ()
        grids = tuple(self._grid(*image.size) for image in images)
        merged = self.processor.image_processor.merge_size**2
        unused = iter([height * width // merged for _, height, width in grids])
        placeholder = self.processor.image_token
        ids: list[int] = []
        labels: list[int] = []
        for text, trained in self._segments(sample):
            first, *pieces = text.split(placeholder)
            for piece in pieces:
                count = next(unused, None)
                if count is None:
                    raise ValueError(
                        f"{name} has more image blocks than its {len(images)} images; give one image for each block"
                    )
                first += placeholder * count + piece
            tokens = self.processor.tokenizer(first, add_special_tokens=False)["input_ids"]
            ids += tokens
            labels += tokens if trained else [IGNORED] * len(tokens)
        left = sum(1 for _ in unused)
        if left:
            shown = len(images) - left
            raise ValueError(f"{name} has {len(images)} images but only {shown} image blocks; give one for each image")
        if all(label == IGNORED for label in labels):
            raise ValueError(f"{name} has nothing to train: it needs an assistant turn with text")
        return Encoded(ids, labels, grids)

    def _grid(self, width: int, height: int) -> Grid:
        images = self.processor.image_processor
        planned = plan_size(width, height, images.budget)
        return 1, planned.height // images.patch_size, planned.width // images.patch_size

    def _segments(self, sample: Sample) -> list[tuple[str, bool]]:
        """Return the rendered text of a conversation, cut where the loss begins and ends."""
        texts, spans = render_jinja_template(
            conversations=[sample["messages"]],
            tools=sample.get("tools"),
            chat_template=self.processor.chat_template,
            return_assistant_tokens_mask=True,
        )
        text, segments, done = texts[0], [], 0
        for start, end in spans[0]:
            segments += [(text[done:start], False), (text[start:end], True)]
            done = end
        segments.append((text[done:], False))
        return [(piece, trained) for piece, trained in segments if piece]


def pixels_of(
    processor: Any, samples: Sequence[Sample], encoded: Sequence[Encoded], faults: dict[int, Rejected] | None = None
) -> dict[str, Any]:
    """Return ``pixel_values`` and ``image_grid_thw`` of all images of some samples, or nothing where there are none.

    Args:
        processor: An `RSCoVLMProcessor`.
        samples: The samples.
        encoded: The same, encoded.
        faults: Takes, by place, the samples whose images cannot be read: these are shown blank, so that the batch keeps
            its shape and nobody else's rows move; None raises instead.

    Raises:
        ValueError: An image that cannot be read, or that the image processor cut into another grid than was planned
            from its size.
    """
    images: list[Image.Image] = []
    for place, sample in enumerate(samples):
        shown = sample.get("images") or ()
        try:
            images += [loaded(image) for image in shown]
        except Rejected as fault:
            if faults is None:
                raise ValueError(f"image of sample {place}: {fault}") from fault
            faults[place] = fault
            images += [Image.new("RGB", image.size, PADDING) for image in shown]
    if not images:
        return {}
    made = processor.image_processor(images=images, return_tensors="pt")
    planned = [list(grid) for one in encoded for grid in one.grids]
    got = made["image_grid_thw"].tolist()
    for place, (plan, grid) in enumerate(zip(planned, got, strict=True)):
        if plan != grid:
            raise ValueError(
                f"image {place} of {len(images)} has a grid of {grid} patches where {plan} was planned from its size "
                f"{images[place].size}; the processor's budget and its image processor disagree"
            )
    return {"pixel_values": made["pixel_values"], "image_grid_thw": made["image_grid_thw"]}
