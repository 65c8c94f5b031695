"""The processor as a user meets it: conversations to tensors, saving and loading, answers to boxes."""

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer

from rscovlm.codec import Codec
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.processing import PixelBudget, RSCoVLMImageProcessor, RSCoVLMProcessor, chat_template, plan_size
from rscovlm.processing.tokenizer import build_tokenizer
from rscovlm.testing import tiny_checkpoint
from rscovlm.training.tiny import build_model

FAMILIES = ["qwen2_5_vl", "qwen3_vl"]


def picture(width: int = 300, height: int = 200) -> Image.Image:
    return Image.new("RGB", (width, height), (90, 120, 60))


def make(family: str = "qwen2_5_vl", budget: PixelBudget | None = None, **options: Any) -> RSCoVLMProcessor:
    tokenizer = build_tokenizer(["find the plane 1234567890"], phrases=["You are a helpful assistant."])
    return RSCoVLMProcessor(RSCoVLMImageProcessor.for_family(family, budget), tokenizer, **options)


CONVERSATION = [
    {
        "role": "user",
        "content": [
            {"type": "image", "image": picture()},
            {"type": "text", "text": "compare with"},
            {"type": "image", "image": picture(600, 600)},
        ],
    },
    {"role": "assistant", "content": "the same"},
    {"role": "tool", "content": [{"type": "image", "image": picture(40, 40)}]},
    {"role": "assistant", "content": "still"},
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tensors", ["pt", "np"])
def test_conversation_with_several_images(family: str, tensors: str) -> None:
    processor = make(family)
    inputs = processor.apply_chat_template(
        CONVERSATION, tokenize=True, return_dict=True, return_tensors=tensors, return_assistant_tokens_mask=True
    )
    assert set(inputs) <= {*processor.model_input_names, "assistant_masks"}
    ids, types = np.asarray(inputs["input_ids"])[0], np.asarray(inputs["mm_token_type_ids"])[0]
    assert np.array_equal(ids == processor.image_token_id, types == 1)
    budget = processor.budget
    sizes = [plan_size(*size, budget) for size in [(300, 200), (600, 600), (40, 40)]]
    assert (types == 1).sum() == sum(budget.tokens(size) for size in sizes)
    patch = processor.image_processor.patch_size
    assert [(w * patch, h * patch) for _, h, w in np.asarray(inputs["image_grid_thw"]).tolist()] == sizes
    answers = processor.tokenizer.decode(ids[np.asarray(inputs["assistant_masks"])[0] == 1])
    assert answers == "the same<|im_end|>still<|im_end|>"


def test_text_alone_and_batches() -> None:
    processor = make()
    assert set(processor(text="hello", return_tensors="pt")) == {"input_ids", "attention_mask", "mm_token_type_ids"}
    chats = [[{"role": "user", "content": "find"}], CONVERSATION[:1]]
    inputs = processor.apply_chat_template(
        chats,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        add_generation_prompt=True,
        processor_kwargs={"padding": True},
    )
    assert inputs["input_ids"].shape[0] == 2 and inputs["image_grid_thw"].shape[0] == 2
    assert inputs["mm_token_type_ids"][0].sum() == 0


def test_images_and_placeholders_must_agree() -> None:
    with pytest.raises(ValueError, match="number of images"):
        make()(text="<|image_pad|>", images=[picture(), picture()])
    with pytest.raises(ValueError, match="image 1 of 2.*I;16"):
        make()(text="<|image_pad|><|image_pad|>", images=[picture(), Image.new("I;16", (40, 40))])


@pytest.mark.parametrize("family", FAMILIES)
def test_frames_are_the_planned_grids_tied_to_the_original(family: str) -> None:
    processor = make(family)
    crop = Frame(5000, 4000).cropped(1000, 500, 3000, 1500)
    images = [picture(), np.zeros((70, 90, 3), np.uint8), np.zeros((3, 70, 90), np.uint8), np.zeros((70, 90)), crop]
    sizes = [(300, 200), (90, 70), (90, 70), (90, 70), (2000, 1000)]
    for frame, size in zip(processor.frames(images), sizes, strict=True):
        assert (frame.width, frame.height) == plan_size(*size, processor.budget)
    (frame,) = processor.frames(picture(2000, 1000))
    assert frame.to(Frame(2000, 1000))[:3] == pytest.approx((2000 / frame.width, 0, 0))
    assert processor.frames([crop])[0].to_root[2::3] == (1000, 500)
    with pytest.raises(ValueError, match="no frame of a str"):
        processor.frames("image.png")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("with_model", [False, True], ids=["processor alone", "with the model"])
def test_round_trip_through_the_auto_classes(tmp_path: Path, family: str, with_model: bool) -> None:
    budget = PixelBudget(112 * 112, 672 * 672, 28 if family == "qwen2_5_vl" else 32, "max")
    codec = "qwen2.5-vl" if family == "qwen2_5_vl" else "qwen3-vl"
    processor = make(family, codec=codec, budget=budget)
    if with_model:
        build_model(processor.tokenizer, family=family).save_pretrained(tmp_path)  # type: ignore[arg-type]
    processor.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "processor_config.json").read_text())["codec"] == codec
    again = AutoProcessor.from_pretrained(tmp_path)
    assert type(again) is RSCoVLMProcessor and type(again.image_processor) is RSCoVLMImageProcessor
    assert again.budget == budget and again.to_dict()["codec"] == codec
    assert again.chat_template == processor.chat_template == chat_template(family)
    assert type(AutoImageProcessor.from_pretrained(tmp_path)) is RSCoVLMImageProcessor
    assert again.tokenizer.get_vocab() == processor.tokenizer.get_vocab()
    text = [again.apply_chat_template(CONVERSATION), processor.apply_chat_template(CONVERSATION)]
    assert text[0] == text[1]
    other = RSCoVLMProcessor.from_pretrained(tmp_path, codec="rscovlm-v1", budget=PixelBudget(factor=budget.factor))
    assert other.budget.mode == "native" and other.to_dict()["codec"] == "rscovlm-v1"


def test_limits_and_mode_can_be_given_while_loading_and_per_call(tmp_path: Path) -> None:
    make().save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path, min_pixels=28 * 28, max_pixels=56 * 56)
    assert loaded.budget == PixelBudget(28 * 28, 56 * 56)
    # One limit that is set below the other takes it along.
    assert AutoProcessor.from_pretrained(tmp_path, max_pixels=84 * 84).budget == PixelBudget(84 * 84, 84 * 84)
    assert RSCoVLMImageProcessor(min_pixels=2000 * 2000).budget == PixelBudget(2000 * 2000, 2000 * 2000)
    largest = AutoProcessor.from_pretrained(tmp_path, mode="max")
    assert largest.budget == PixelBudget(mode="max") and "mode" not in largest.tokenizer.init_kwargs
    options: dict[str, Any] = {"tokenize": True, "return_dict": True, "return_tensors": "np"}
    inputs = loaded.apply_chat_template(CONVERSATION[:1], processor_kwargs={"mode": "max"}, **options)
    assert inputs["image_grid_thw"].tolist() == [[1, 4, 4], [1, 4, 4]]
    inputs = loaded.apply_chat_template(CONVERSATION[:1], **options)
    sizes = [plan_size(*size, loaded.budget) for size in [(300, 200), (600, 600)]]
    assert [(w * 14, h * 14) for _, h, w in inputs["image_grid_thw"].tolist()] == sizes


def test_defaults_follow_the_family() -> None:
    assert make().to_dict()["codec"] == "rscovlm-v1" and make().budget == PixelBudget()
    assert make("qwen3_vl").to_dict()["codec"] == "qwen3-vl" and make("qwen3_vl").budget == PixelBudget(factor=32)


def test_wrong_parts_are_named() -> None:
    with pytest.raises(ValueError, match="tokenizer is None"):
        RSCoVLMProcessor(RSCoVLMImageProcessor())
    with pytest.raises(ValueError, match="factor=28"):
        make(budget=PixelBudget(factor=32))
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    plain = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), unk_token="?")
    with pytest.raises(ValueError, match="image_pad"):
        RSCoVLMProcessor(RSCoVLMImageProcessor(), plain)


@pytest.mark.parametrize("family", FAMILIES)
def test_stock_parts_load_from_a_checkpoint_of_ours(tmp_path: Path, family: str) -> None:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    processor = make(family)
    build_model(processor.tokenizer, family=family).save_pretrained(tmp_path)  # type: ignore[arg-type]
    processor.save_pretrained(tmp_path)
    expected = processor.image_processor(picture(), return_tensors="np")
    for source in (tmp_path, tmp_path / "preprocessor_config.json"):
        stock = Qwen2VLImageProcessorPil.from_pretrained(source)
        found = stock(picture(), return_tensors="np")
        assert np.array_equal(found["image_grid_thw"], expected["image_grid_thw"])
        assert np.abs(found["pixel_values"] - expected["pixel_values"]).max() < 1e-5
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.apply_chat_template(CONVERSATION, tokenize=False) == processor.apply_chat_template(CONVERSATION)
    old = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert (old["min_pixels"], old["max_pixels"]) == (224 * 224, 1008 * 1008)
    assert old["image_processor_type"] == "Qwen2VLImageProcessor"


def test_pipeline(tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText, pipeline

    processor = make()
    build_model(processor.tokenizer).save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    run = pipeline("image-text-to-text", model=str(tmp_path))
    assert type(run.processor) is RSCoVLMProcessor
    out = run(text=CONVERSATION[:1], max_new_tokens=3)
    assert isinstance(out[0]["generated_text"][-1]["content"], str)
    model = AutoModelForImageTextToText.from_pretrained(tmp_path)
    inputs = processor.apply_chat_template(CONVERSATION[:1], tokenize=True, return_dict=True, return_tensors="pt")
    texts = processor.post_process_image_text_to_text(model.generate(**inputs, max_new_tokens=2))
    assert len(texts) == 1 and "compare with" in texts[0]


BOXES = Boxes([[100, 200, 400, 350], [10, 20, 90, 70]], "hbb", Frame(2000, 1000))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["hbb", "quad"])
@pytest.mark.parametrize("style", ["plain", "json"])
def test_answers_come_back_as_boxes_on_the_original_image(family: str, kind: Any, style: Any) -> None:
    processor = make(family)
    (frame,) = processor.frames(picture(2000, 1000))
    truth = Objects(BOXES, ("plane", "ship")).as_kind(kind)
    answer = processor.codec.encode(truth, frame, kind=kind, style=style)
    found = processor.post_process_detection(answer, frame, categories=["ship", "plane", "tank"])
    assert found.objects.labels == ("plane", "ship") and not found.problems
    assert (found.objects.boxes.frame.width, found.objects.boxes.frame.height) == (2000, 1000)
    # Half a step of the text, counted in pixels of the original.
    assert np.abs(found.objects.boxes.coords - truth.boxes.coords).max() <= 1.01
    batch = processor.post_process_grounding([answer, "There are none."], [frame, frame])
    assert np.allclose(batch[0].objects.boxes.coords, found.objects.boxes.coords) and batch[1].none


def test_boxes_of_a_crop_lie_on_the_image_it_was_cut_from() -> None:
    processor = make()
    crop = Frame(5000, 4000, root_to_world=(0.5, 0, 7e5, 0, -0.5, 4e6), crs="EPSG:32617").cropped(1000, 500, 3000, 1500)
    (frame,) = processor.frames(crop)
    found = processor.post_process_grounding(f"0,0,{frame.width},{frame.height} the harbour\n", frame, kind="hbb")
    assert found.objects.boxes.coords == pytest.approx(np.array([[1000, 500, 3000, 1500]]))
    assert found.objects.boxes.frame.crs == "EPSG:32617"


def test_answers_that_cannot_be_read_are_counted_not_raised() -> None:
    processor = make()
    frames = processor.frames([picture(), picture()])
    found = processor.post_process_detection(["no idea", "1,2,3"], frames, categories=["plane"])
    assert [len(one.objects) for one in found] == [0, 0] and all(one.problems for one in found)
    unknown = processor.post_process_detection("1,2,30,40 plain\n", frames[:1], categories=["plane"])
    assert unknown.objects.labels == ("plain",) and unknown.problems
    near = processor.post_process_detection("1,2,30,40 plain\n", frames[0], categories=["plane"], cutoff=0.5)
    assert near.objects.labels == ("plane",)
    with pytest.raises(ValueError, match="2 answers came with 1 frames"):
        processor.post_process_detection(["a", "b"], frames[:1])
    with pytest.raises(ValueError, match="one answer came with 2 frames"):
        processor.post_process_detection("a", frames)


def test_a_codec_that_is_no_preset_is_saved_whole(tmp_path: Path) -> None:
    codec = Codec("hundred", space="0-100", kind="hbb", none="nothing")
    make(codec=codec).save_pretrained(tmp_path)
    assert AutoProcessor.from_pretrained(tmp_path).codec == codec
    assert make(codec=Codec.preset("qwen3-vl")).to_dict()["codec"] == "qwen3-vl"
    with pytest.raises(ValueError, match="'v9'"):
        make(codec="v9")


def test_videos_are_refused_not_dropped(tmp_path: Path) -> None:
    processor = RSCoVLMProcessor.from_pretrained(tiny_checkpoint(tmp_path / "tiny"))
    with pytest.raises(ValueError, match="videos were given"):
        processor(text=["hello"], videos=[[Image.new("RGB", (84, 84))]])


def test_the_call_names_no_argument_that_it_refuses() -> None:
    named = inspect.signature(RSCoVLMProcessor.__call__).parameters
    assert set(named) == {"self", "images", "text", "kwargs"}
    alone = make()(text=["hello", "you"])
    assert set(alone) == {"input_ids", "attention_mask", "mm_token_type_ids"}
    nothing: tuple[Any, ...] = (None, [], [[], []], ())
    for empty in nothing:
        assert make()(text=["hello", "you"], images=empty, videos=empty, audio=empty, audios=empty) == alone


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_saved_tokenizer_pads_on_the_left(tmp_path: Path, side: str) -> None:
    tokenizer = build_tokenizer(["find the plane"])
    tokenizer.padding_side = side
    RSCoVLMProcessor(RSCoVLMImageProcessor(), tokenizer).save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path).padding_side == "left"
    processor = AutoProcessor.from_pretrained(tmp_path)
    short, long = processor(text=["a", "find the plane"], padding=True)["attention_mask"]
    assert not short[0] and all(long)
    assert processor(text=["a", "find the plane"], padding=True, padding_side="right")["attention_mask"][0][0]
