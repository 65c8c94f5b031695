"""Suites of transformers, and questions of TRL, put to our processors; run by `.ci/peers`, which fetches the suites."""

from __future__ import annotations

import json
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from PIL import Image
from test_image_processing_common import ImageProcessingTester, ImageProcessingTestMixin
from test_processing_common import ProcessorTesterMixin

from rscovlm.loading import load_processor
from rscovlm.processing import RSCoVLMImageProcessor, RSCoVLMProcessor
from rscovlm.processing.families import FAMILIES
from rscovlm.testing import tiny_checkpoint

_ROWS = (
    "patches of all images are the rows of one array, as the stock Qwen class gives them; its own tests differ here too"
)
IMAGES = {
    "test_call_pil": _ROWS,
    "test_call_numpy": _ROWS,
    "test_call_pytorch": _ROWS,
    "test_call_numpy_4_channels": "a fourth band is transparency: the model takes three, whose means are given for three",
    "test_new_models_require_torchvision_backend": "needing no torchvision is what the class is for",
}
"""Tests that are expected to fail, and why; one that passes again fails here, so that the list stays short."""


def except_for(reasons: dict[str, str]) -> Callable[[type], type]:
    """Mark tests of a class that are expected to fail."""

    def marked(kind: type) -> type:
        for name, reason in reasons.items():
            method = getattr(kind, name)

            def run(self: Any, method: Any = method) -> None:
                method(self)

            setattr(kind, name, pytest.mark.xfail(strict=True, reason=reason)(run))
        return kind

    return marked


class Tester(ImageProcessingTester):
    """Ours in place of both backends."""

    __test__ = False

    def _get_image_processing_classes(self) -> dict[str, Any]:
        return {"pil": RSCoVLMImageProcessor}

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        kwargs.setdefault("size", {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 1280})
        super().__init__(parent, min_resolution=56, **kwargs)

    def expected_output_image_shape(self, images: list[Any]) -> tuple[int, ...]:
        made = RSCoVLMImageProcessor(**self.prepare_image_processor_dict())(images, return_tensors="pt")
        return tuple(made["pixel_values"].shape)


@except_for(IMAGES)
class TestImageProcessor(ImageProcessingTestMixin, unittest.TestCase):
    """`ImageProcessingTestMixin` on `RSCoVLMImageProcessor`."""

    image_processor_tester_class = Tester


class ProcessorCase(ProcessorTesterMixin):
    """`ProcessorTesterMixin` on `RSCoVLMProcessor` of a family."""

    processor_class = RSCoVLMProcessor
    family: ClassVar[Any] = "qwen2_5_vl"
    images_unstructured_max_length = 176  # its picture takes 100 tokens

    @classmethod
    def setUpClass(cls) -> None:
        cls.model_id = str(tiny_checkpoint(Path(tempfile.mkdtemp()) / "model", cls.family))
        super().setUpClass()

    @classmethod
    def tearDownClass(cls) -> None:
        """Leave the folders to the system."""


class TestProcessor25(ProcessorCase, unittest.TestCase):
    """Of Qwen2.5-VL."""


class TestProcessor3(ProcessorCase, unittest.TestCase):
    """Of Qwen3-VL."""

    family = "qwen3_vl"


def test_trl_marks_answers_and_fills_pictures() -> None:
    """What TRL asks of the processor of a vision model before it trains one."""
    from trl.chat_template_utils import is_chat_template_prefix_preserving, supports_tool_calling
    from trl.data_utils import prepare_multimodal_messages

    for family in FAMILIES:
        processor = load_processor(tiny_checkpoint(Path(tempfile.mkdtemp()) / "model", family))
        assert supports_tool_calling(processor) and is_chat_template_prefix_preserving(processor)
        picture = Image.new("RGB", (90, 70))
        turns = [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "A plane."}]
        turns = prepare_multimodal_messages(turns, images=[picture])
        options = {"tokenize": True, "return_dict": True, "return_assistant_tokens_mask": True}
        made = processor.apply_chat_template(turns, **options)
        answered = [token for token, mark in zip(made["input_ids"][0], made["assistant_masks"][0], strict=True) if mark]
        assert processor.decode(answered) == "A plane.<|im_end|>"


def test_trl_finds_how_answers_are_read() -> None:
    """TRL's `add_response_schema` on a published checkpoint of Qwen3-VL, loaded by us."""
    from importlib.resources import files

    from trl.chat_template_utils import add_response_schema

    folder = tiny_checkpoint(Path(tempfile.mkdtemp()) / "model", "qwen3_vl", layout="stock")
    text = files("trl").joinpath("chat_templates", "qwen3_vl.jinja").read_text(encoding="utf-8")
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": text}), encoding="utf-8")
    add_response_schema(load_processor(folder))
