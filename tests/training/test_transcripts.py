"""What is trained, written out in full for each backbone family: golden transcripts of every kind of record.

In ``transcripts/FAMILY.txt`` the trained text stands between ``[[`` and ``]]``. After a change of wording that is meant, write
them anew with ``python -m tests.training.test_transcripts`` and read the difference.
"""

from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rscovlm.mixtures.renderer import RecordRenderer
from rscovlm.processing import PixelBudget, RSCoVLMImageProcessor, RSCoVLMProcessor
from rscovlm.processing.tokenizer import build_tokenizer
from rscovlm.records.record import Annotation, ImageRef, Record, Turn
from rscovlm.tasks.options import RenderOptions
from rscovlm.training.encoding import IGNORED, Encoder
from rscovlm.training.tiny import Family

FOLDER = Path(__file__).parent / "transcripts"
FAMILIES: tuple[Family, ...] = ("qwen2_5_vl", "qwen3_vl")
IMAGE = ImageRef("a.png", width=336, height=224)
SHIP = Annotation((20.0, 30.0, 60.0, 30.0, 60.0, 50.0, 20.0, 50.0), "ship")
TANK = Annotation((100.0, 100.0, 150.0, 160.0), "storage-tank", "hbb")


def _record(task: str, **content: Any) -> Record:
    return Record(task, "golden", "train", task, content.pop("images", (IMAGE,)), **content)


SAMPLES: dict[str, tuple[Record, RenderOptions]] = {
    "detection": (_record("detection", objects=(TANK, SHIP), categories=("ship", "storage-tank")), RenderOptions()),
    "detection in JSON": (
        _record("detection", objects=(SHIP,), categories=("ship",)),
        RenderOptions(json_rate=1, kinds={"hbb": 1}),
    ),
    "nothing to detect": (_record("detection", categories=("ship", "plane")), RenderOptions()),
    "grounding": (
        _record("grounding", expression="the left ship", objects=(SHIP,)),
        RenderOptions(kinds={"hbb": 1}),
    ),
    "classification": (_record("classification", classes=("storage-tank",)), RenderOptions()),
    "caption": (_record("caption", captions=("Two piers.",)), RenderOptions()),
    "choices": (_record("vqa", question="What is it?", choices=("pier", "dam"), answer="B"), RenderOptions()),
    "change": (_record("change", images=(IMAGE, IMAGE), captions=("A pier was built.",)), RenderOptions()),
    "zoom": (
        _record("zoom", question="What is at the pier?", answer="a boat", regions=((20.0, 30.0, 160.0, 150.0),)),
        RenderOptions(),
    ),
    "zoom as a tool": (
        _record("zoom", question="What is at the pier?", answer="a boat", regions=((20.0, 30.0, 160.0, 150.0),)),
        RenderOptions(layout="native"),
    ),
    "conversation": (
        _record(
            "conversation",
            objects=(SHIP,),
            turns=(
                Turn("user", "<image>\nWhere is the ship?"),
                Turn("assistant", "At <box:0>."),
                Turn("user", "Sure?"),
                Turn("assistant", "Yes."),
            ),
        ),
        RenderOptions(),
    ),
    "text alone": (
        _record("conversation", images=(), turns=(Turn("user", "What is SAR?"), Turn("assistant", "Radar."))),
        RenderOptions(),
    ),
}


def _encoder(family: Family) -> Encoder:
    budget = PixelBudget(min_pixels=56 * 56, max_pixels=448 * 448, factor=28 if family == "qwen2_5_vl" else 32)
    images = RSCoVLMImageProcessor.for_family(family, budget)
    return Encoder(RSCoVLMProcessor(images, build_tokenizer(("find the ship",))))


def _render(name: str, encoder: Encoder) -> dict[str, Any]:
    record, options = SAMPLES[name]
    processor = encoder.processor
    renderer = RecordRenderer(processor.codec, processor.budget, FOLDER, replace(options, rephrase_rate=0.0))
    return renderer(record, np.random.default_rng(0))


def transcript(sample: dict[str, Any], encoder: Encoder) -> str:
    """Return a sample as the model reads it; an image's many tokens are written as one with their number."""
    encoded, processor = encoder(sample), encoder.processor
    parts = []
    kinds = [
        (label != IGNORED, token == processor.image_token_id)
        for token, label in zip(encoded.ids, encoded.labels, strict=True)
    ]
    place = 0
    for (trained, image), members in groupby(kinds):
        count = len(list(members))
        text = processor.tokenizer.decode(encoded.ids[place : place + count], skip_special_tokens=False)
        place += count
        text = f"<|image_pad|>*{count}" if image else text
        parts.append(f"[[{text}]]" if trained else text)
    return "".join(parts)


def _all(family: Family) -> str:
    encoder = _encoder(family)
    return "\n\n".join(f"=== {name}\n{transcript(_render(name, encoder), encoder)}" for name in SAMPLES) + "\n"


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_trained_is_what_is_written_down(family: Family) -> None:
    assert _all(family) == (FOLDER / f"{family}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", SAMPLES)
def test_the_trained_text_is_exactly_the_answers(name: str, family: Family) -> None:
    encoder = _encoder(family)
    sample = _render(name, encoder)
    encoded = encoder(sample)
    trained = encoder.processor.tokenizer.decode([label for label in encoded.labels if label != IGNORED])
    answers = []
    for turn in sample["messages"]:
        if turn["role"] == "assistant":
            answers.append("".join(block["text"] for block in turn["content"] if block["type"] == "text"))
    said = trained.split("<|im_end|>")
    assert said.pop() == ""
    assert len(said) == len(answers) == (2 if "zoom" in name or name == "conversation" else 1)
    for text, answer, turn in zip(
        said, answers, [t for t in sample["messages"] if t["role"] == "assistant"], strict=True
    ):
        assert text.startswith(answer)
        rest = text.removeprefix(answer)
        assert ("<tool_call>" in rest) == bool(turn.get("tool_calls"))
        assert turn.get("tool_calls") or not rest


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for family in FAMILIES:
        (FOLDER / f"{family}.txt").write_text(_all(family), encoding="utf-8")


if __name__ == "__main__":
    main()
