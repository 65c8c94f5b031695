"""A sample as tokens: what the model reads, what of it is trained, how many visual tokens each image takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image
from transformers.utils.chat_template_utils import render_jinja_template

from rscovlm.processing import plan_size
from rscovlm.processing.resizing import Resizer
from rscovlm.processing.template import has_marks
from rscovlm.records.pictures import loaded
from rscovlm.records.tally import Rejected
from rscovlm.records.views import PADDING
from rscovlm.training.answer_spans import answer_spans

IGNORED = -100
"""Label of a token that carries no loss."""

Sample = Mapping[str, Any]
Turn = dict[str, Any]
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
            sample: What to encode; its images need only a ``size``. Keys of turns and blocks that hold None, as tables
                have them, count as absent.
            name: What errors call it.

        Raises:
            ValueError: Nothing in it is trained, the numbers of images and image blocks differ, an image has no place in
                a plan or in its turn, or a text writes the token that stands for images; the message begins with the name.
        """
        images = sample.get("images") or ()
        messages = [_given(turn) for turn in sample.get("messages") or ()]
        _check(messages, len(images), name)
        grids = tuple(self._grid(image, name) for image in images)
        merged = self.processor.image_processor.merge_size**2
        counts = iter([height * width // merged for _, height, width in grids])
        placeholder = self.processor.image_token
        segments = self._segments(messages, sample.get("tools"), name)
        places = sum(text.count(placeholder) for text, _ in segments)
        if places != len(images):
            raise ValueError(
                f"{name} comes to {places} times {placeholder} for {len(images)} images; write it otherwise where a text "
                "says it, or take our chat template where that leaves images out"
            )
        try:
            # One placeholder an image is tokenised and repeated afterwards: hundreds of them cost most of the tokeniser's time.
            read = self.processor.tokenizer([text for text, _ in segments], add_special_tokens=False)["input_ids"]
        except TypeError as error:  # half a surrogate pair, as broken JSON brings
            text = next(text for text, _ in segments if not _is_unicode(text))
            raise ValueError(f"{name} holds text that is not Unicode: {text[:80]!r}") from error
        ids: list[int] = []
        labels: list[int] = []
        for (_, trained), short in zip(segments, read, strict=True):
            tokens = _repeated(short, self.processor.image_token_id, counts)
            ids += tokens
            labels += tokens if trained else [IGNORED] * len(tokens)
        if labels.count(IGNORED) == len(labels):
            raise ValueError(f"{name} has nothing to train: the chat template marks no turn as generated; take ours")
        return Encoded(ids, labels, grids)

    def _grid(self, image: Any, name: str) -> Grid:
        images, size = self.processor.image_processor, getattr(image, "size", None)
        if not isinstance(size, tuple):
            raise ValueError(
                f"{name} has a {type(image).__name__} among its images; give PIL images, or a mixture's own"
            )
        try:
            planned = plan_size(size[0], size[1], images.budget)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        return 1, planned.height // images.patch_size, planned.width // images.patch_size

    def _segments(self, messages: list[Turn], tools: Any, name: str) -> list[tuple[str, bool]]:
        """Return the rendered text of a conversation, cut where the loss begins and ends."""
        template = self.processor.training_template
        if has_marks(template):
            texts, marked = render_jinja_template(
                conversations=[messages], tools=tools, chat_template=template, return_assistant_tokens_mask=True
            )
            text, spans = texts[0], marked[0]
        else:
            text, spans = answer_spans(template, messages, tools, name)
        segments, done = [], 0
        for start, end in spans:
            segments += [(text[done:start], False), (text[start:end], True)]
            done = end
        segments.append((text[done:], False))
        return [(piece, trained) for piece, trained in segments if piece]


def _repeated(tokens: list[int], image: int, counts: Iterator[int]) -> list[int]:
    """Return tokens in which the placeholder of each image stands as often as the image has tokens."""
    if image not in tokens:
        return tokens
    made: list[int] = []
    for token in tokens:
        if token == image:
            made += [token] * next(counts)
        else:
            made.append(token)
    return made


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _given(turn: Mapping[str, Any]) -> Turn:
    """Return a turn without the keys, its own and those of its blocks, that hold None."""
    given = {key: value for key, value in turn.items() if value is not None}
    if isinstance(given.get("content"), Sequence) and not isinstance(given["content"], str):
        given["content"] = [
            {key: value for key, value in block.items() if value is not None} for block in given["content"]
        ]
    return given


def _check(messages: Sequence[Turn], images: int, name: str) -> None:
    """Refuse a conversation that says nothing, or shows what its images do not fill or nobody could learn to show."""
    spoken, shown = False, 0
    for turn in messages:
        if "role" not in turn:
            raise ValueError(f"{name} has a turn without a role, of {', '.join(turn)}; give role and content")
        content = turn.get("content", "")
        blocks = [{"text": content}] if isinstance(content, str) else content
        if any(block.get("type") == "video" or "video" in block for block in blocks):
            raise ValueError(f"{name} shows a video, which is not taken; give its frames as images")
        # As the chat template tells them.
        here = sum(block.get("type") == "image" or "image" in block or "image_url" in block for block in blocks)
        shown += here
        if turn["role"] == "assistant":
            if here:
                raise ValueError(
                    f"{name} shows an image in an assistant turn, which no model writes; give it a turn of its own"
                )
            spoken |= bool(turn.get("tool_calls")) or any(str(block.get("text", "")).strip() for block in blocks)
    if not spoken:
        raise ValueError(f"{name} has nothing to train: it needs an assistant turn with text")
    if shown != images:
        raise ValueError(f"{name} has {shown} image blocks and {images} images; give one image for each block")


def pixels_of(
    processor: Any,
    samples: Sequence[Sample],
    encoded: Sequence[Encoded],
    faults: dict[int, Rejected] | None = None,
    *,
    resizer: Resizer = "pillow",
) -> dict[str, Any]:
    """Return ``pixel_values`` and ``image_grid_thw`` of all images of some samples, or nothing where there are none.

    Args:
        processor: An `RSCoVLMProcessor`.
        samples: The samples.
        encoded: The same, encoded.
        faults: Takes, by place, the samples whose images cannot be read: these are shown blank, so that the batch keeps
            its shape and nobody else's rows move; None raises instead.
        resizer: As in `rscovlm.processing.resizing`.

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
    made = processor.image_processor(images=images, return_tensors="pt", resizer=resizer)
    planned = [list(grid) for one in encoded for grid in one.grids]
    got = made["image_grid_thw"].tolist()
    for place, (plan, grid) in enumerate(zip(planned, got, strict=True)):
        if plan != grid:
            raise ValueError(
                f"image {place} of {len(images)} has a grid of {grid} patches where {plan} was planned from its size "
                f"{images[place].size}; the processor's budget and its image processor disagree"
            )
    return {"pixel_values": made["pixel_values"], "image_grid_thw": made["image_grid_thw"]}
