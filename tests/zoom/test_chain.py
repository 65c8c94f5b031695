import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rscovlm
from rscovlm.engines import Conversation, Engine, Reply
from rscovlm.geometry import Boxes, Frame
from rscovlm.processing.resolution import PixelBudget, plan_size
from rscovlm.zoom import Step, ZoomChain, ZoomResult, zoom_conversation
from rscovlm.zoom.layouts import LAYOUTS, Layout
from tests.zoom.scripted import Scripted, call, texts

SIDE = 4096


@pytest.fixture(scope="module")
def scene() -> Image.Image:
    """Each pixel says where it lies: red is x / 16, green y / 16, blue a fine checkerboard that no overview keeps."""
    place = np.arange(SIDE, dtype=np.uint16)
    pixels = np.empty((SIDE, SIDE, 3), dtype=np.uint8)
    pixels[..., 0], pixels[..., 1] = place // 16, place[:, None] // 16
    pixels[..., 2] = ((place + place[:, None]) % 2) * 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("codec", ["rscovlm-v1", "qwen3-vl"])
def test_one_zoom_reads_original_pixels_and_answers(scene: Image.Image, layout: Layout, codec: str) -> None:
    # The overview is 1008 x 1008, one of its pixels 4.06 of the original's.
    unit = 1008 if codec == "rscovlm-v1" else 1000
    box = [round(v / SIDE * unit) for v in (1024, 2048, 1536, 2560)]
    engine = Scripted(["I look. " + call(*box), "a hangar"], codec)
    result = ZoomChain(engine, layout=layout).ask(scene, "What is it?")
    assert (result.answer, result.stopped, result.zoomed) == ("a hangar", "answer", True)
    x1, y1, x2, y2 = result.windows[0]
    assert np.abs(np.subtract((x1, y1, x2, y2), (1024, 2048, 1536, 2560))).max() <= SIDE / unit + 1
    crop = result.crops[0].image
    assert crop.size == (x2 - x1, y2 - y1)
    assert np.array_equal(np.asarray(crop), np.asarray(scene.crop((x1, y1, x2, y2))))
    assert np.asarray(result.views[0].image).shape == (1008, 1008, 3)
    assert [step.call is not None for step in result.steps] == [True, False]
    assert result.tokens == sum(len(step.text) for step in result.steps) and result.seconds > 0
    assert not result.problems


@pytest.mark.parametrize("layout", LAYOUTS)
def test_inference_builds_the_conversation_of_training(scene: Image.Image, layout: Layout) -> None:
    engine = Scripted([call(10, 20, 300, 400), "a hangar"])
    result = ZoomChain(engine, layout=layout).ask(scene, "What is it?")
    overview, crop = (view.image for view in result.views)
    messages, tools = zoom_conversation(overview, "What is it?", [10, 20, 300, 400], crop, "a hangar", layout)
    assert result.messages == messages and result.tools == tools
    assert engine.asked[1][0].messages == messages[:-1] and engine.asked[1][0].tools == tools


def test_a_second_zoom_is_counted_in_the_first_crop(scene: Image.Image) -> None:
    budget = PixelBudget(max_pixels=504 * 504)
    engine = Scripted([call(126, 126, 252, 252), call(252, 0, 504, 252), "x"], budget=budget)
    result = ZoomChain(engine).ask(scene, "?")
    assert result.windows == [(1024, 1024, 2048, 2048), (1536, 1024, 2048, 1536)]
    assert result.crops[1].image.size == (504, 504)
    place = np.asarray(result.crops[1].image)[250, 250, :2] * 16.0
    assert np.abs(place - (1536 + 254, 1024 + 254)).max() <= 16
    frame = result.crops[1].frame
    assert Boxes([[0, 0, 504, 504]], "hbb", frame).to(Frame(SIDE, SIDE)).coords.tolist() == [[1536, 1024, 2048, 1536]]


def test_crops_come_from_the_right_image_in_a_mixed_batch() -> None:
    """Samples that do not zoom stand between samples that do, and every image has its own colour."""
    rng = random.Random(3)
    colours = [tuple(rng.randrange(256) for _ in range(3)) for _ in range(40)]
    images = [Image.new("RGB", (400 + 20 * n, 1300 - 20 * n), colour) for n, colour in enumerate(colours)]

    def script(conversation: Conversation, turn: int) -> str:
        number = int(texts(conversation)[1].split("#")[1].split("\n")[0])
        zooms = number % 3
        return call(10 * turn + 5, 5, 10 * turn + 100, 90 - 20 * turn) if turn < zooms else f"answer {number}"

    results = ZoomChain(Scripted(script), in_flight=7).ask_many([(im, f"#{n}\n") for n, im in enumerate(images)])
    for number, result in enumerate(results):
        assert result.answer == f"answer {number}"
        assert len(result.crops) == number % 3
        for view in result.views:
            assert np.asarray(view.image).reshape(-1, 3).max(axis=0).tolist() == list(colours[number])


def test_stages_are_batched() -> None:
    image = Image.new("RGB", (2000, 2000))
    engine = Scripted([call(1, 1, 200, 200), "yes"])
    chain = ZoomChain(engine)
    assert len(chain.ask_many([(image, f"question {n}") for n in range(32)])) == 32
    assert [len(stage) for stage in engine.asked] == [32, 32]
    first = engine.asked[0][0].images()[0]
    assert all(one.images()[0] is first for one in engine.asked[0])  # one overview for all
    assert chain.ask_many([]) == []


def test_a_model_that_always_zooms_is_stopped(scene: Image.Image) -> None:
    def script(conversation: Conversation, turn: int) -> str:
        return call(20 * turn, 20 * turn, 400 + 20 * turn, 400 + 20 * turn)

    for steps in (0, 1, 5):
        engine = Scripted(script)
        result = ZoomChain(engine, max_steps=steps, max_visual_tokens=100_000).ask(scene, "?")
        assert len(result.crops) == steps
        assert result.stopped == ("max_steps" if steps else "answer")
        assert result.answer == "" and result.problems["call_after_limit" if steps else "call_without_tool"] == 1
        last = engine.asked[-1][0]
        assert last.tools is None and not any(turn["role"] == "system" for turn in last.messages)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("tokens", [130, 700, 1400, 2000])
def test_visual_tokens_stay_within_the_limit(scene: Image.Image, tokens: int, layout: Layout) -> None:
    def script(conversation: Conversation, turn: int) -> str:
        spent = [plan_size(*image.size) for image in conversation.images()]
        assert sum(size.width * size.height for size in spent) / 28**2 <= tokens
        return "done" if conversation.tools is None and layout == "native" else call(50 * turn, 7, 50 * turn + 180, 190)

    result = ZoomChain(Scripted(script), max_steps=50, max_visual_tokens=tokens, layout=layout).ask(scene, "?")
    assert result.stopped == "max_visual_tokens" and result.visual_tokens <= tokens
    assert result.crops or tokens < 128 + 64


def test_the_same_window_again_asks_for_the_answer(scene: Image.Image) -> None:
    for again in (call(0, 0, 1008, 1008), call(3, 1, 1008, 1006)):  # nearly all of the first crop, or of the overview
        for before in ([], [call(100, 100, 300, 300)]):
            engine = Scripted([*before, again, "blue"])
            result = ZoomChain(engine).ask(scene, "?")
            assert (result.answer, result.stopped, result.problems) == ("blue", "no_progress", {"repeated": 1})
            assert len(result.crops) == len(before)
            assert texts(engine.asked[-1][0])[-1] == (
                "user: This region was shown before; nothing more can be seen in it. Answer the question now."
            )


REFUSED = {
    "malformed": "<tool_call>{</tool_call>",
    "unknown_tool": '<tool_call>{"name": "draw", "arguments": {}}</tool_call>',
    "bad_arguments": '<tool_call>{"name": "image_zoom_in", "arguments": {"bbox": "all"}}</tool_call>',
    "not_finite": call(1, 2, 3, float("nan")),
    "inverted": call(300, 2, 3, 40),
    "zero_area": call(3, 2, 3, 40),
    "outside": call(1008, 0, 1500, 20),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("reason", REFUSED)
def test_a_refused_call_gets_the_reason_and_no_picture(scene: Image.Image, layout: Layout, reason: str) -> None:
    engine = Scripted([REFUSED[reason], call(1, 1, 500, 500), "fine"])
    result = ZoomChain(engine, layout=layout).ask(scene, "?")
    assert (result.answer, result.stopped, result.problems) == ("fine", "answer", {reason: 1})
    assert result.steps[0].refusal == reason and result.steps[0].view is None
    told = engine.asked[1][0]
    assert len(told.images()) == 1 and texts(told)[-1].endswith("Call again or answer the question.")
    if reason == "outside":
        assert "0 to 1008 across and 0 to 1008 down" in texts(told)[-1]
    stubborn = ZoomChain(Scripted([REFUSED[reason]] * 2 + ["well"]), layout=layout).ask(scene, "?")
    assert (stubborn.answer, stubborn.stopped, stubborn.problems) == ("well", "refused", {reason: 2})


@pytest.mark.parametrize("region", [(-50, 20, 0, 80), (840, 20, 900, 80), (20, -50, 80, 0), (20, 280, 80, 300)])
def test_a_region_beyond_any_side_is_outside(region: tuple[float, ...]) -> None:
    # 840 x 280 is a multiple of 28 on both sides and fits the budget: what is seen has the size of the picture.
    engine = Scripted([call(*region), "fine"])
    result = ZoomChain(engine).ask(Image.new("RGB", (840, 280)), "?")
    assert result.problems == {"outside": 1}
    assert "0 to 840 across and 0 to 280 down" in texts(engine.asked[1][0])[-1]


@pytest.mark.parametrize(
    ("region", "window"),
    [((-50, 20, 90, 80), (0, 20, 90, 80)), ((700, 20, 900, 80), (700, 20, 840, 80)), ((20, -50, 90, 90), (20, 0, 90, 90)), ((20, 200, 90, 300), (20, 200, 90, 280))],
)  # fmt: skip
def test_a_region_over_any_side_is_cut_there(region: tuple[float, ...], window: tuple[int, ...]) -> None:
    result = ZoomChain(Scripted([call(*region), "x"])).ask(Image.new("RGB", (840, 280)), "?")
    assert (result.problems, result.windows) == ({"clipped": 1}, [window])


def test_a_region_over_the_border_is_cut_and_counted(scene: Image.Image) -> None:
    result = ZoomChain(Scripted([call(900, -50, 1e308, 100), "x"])).ask(scene, "?")
    assert result.problems == {"clipped": 1} and result.windows == [(3657, 0, 4096, 407)]


def test_only_the_first_of_two_calls_is_carried_out_and_the_model_is_told(scene: Image.Image) -> None:
    engine = Scripted([call(1, 1, 500, 500) + call(5, 500, 500, 900), "x"])
    result = ZoomChain(engine).ask(scene, "?")
    assert len(result.crops) == 1 and result.problems == {"extra_calls": 1}
    assert texts(engine.asked[1][0])[-1].endswith("Only the first call was carried out.")


def test_any_region_in_any_image_gives_a_window_the_model_can_see() -> None:
    rng = np.random.default_rng(0)
    for _ in range(150):
        width, height = (int(v) for v in np.exp(rng.uniform(np.log(30), np.log(3000), 2)))
        if max(width, height) / min(width, height) > 190:
            continue
        image = Image.new("L", (width, height))
        seen = plan_size(width, height)
        x, y = np.sort(rng.uniform(-0.2, 1.2, (2, 2)), axis=1)
        if rng.random() < 0.3:
            x[1] = x[0] + 1e-3
        result = ZoomChain(
            Scripted([call(*np.stack([x * seen.width, y * seen.height]).T.ravel()), "x"]), min_side=28
        ).ask(image, "?")
        for x1, y1, x2, y2 in result.windows:
            assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
            assert min(x2 - x1, y2 - y1) >= min(28, width, height)
            longest, shortest = max(x2 - x1, y2 - y1), min(x2 - x1, y2 - y1)
            assert longest / shortest <= 20 or shortest == min(width, height)
            # What was asked for is in it, as far as it lies in the image.
            asked = (x[0] * width, y[0] * height, x[1] * width, y[1] * height)
            assert x1 <= max(asked[0], 0) + 1e-3 and x2 >= min(asked[2], width) - 1e-3
            assert y1 <= max(asked[1], 0) + 1e-3 and y2 >= min(asked[3], height) - 1e-3
        assert len(result.windows) + sum(result.problems[key] for key in ("outside", "repeated")) == 1


def test_several_images_can_be_named(scene: Image.Image) -> None:
    after = Image.new("RGB", (3000, 2000), "green")
    engine = Scripted([call(0, 0, 504, 504, image=1), call(10, 10, 400, 400, image=2), call(9, 9, 99, 99), "changed"])
    result = ZoomChain(engine, max_visual_tokens=9000).ask([scene, after], "What changed?")
    assert result.answer == "changed"
    assert [view.source for view in result.views] == [0, 1, 0, 1, 1]
    assert np.asarray(result.crops[2].image)[5, 5].tolist() == [0, 128, 0]
    assert texts(engine.asked[1][0])[-1].endswith("It is a part of image 1.")
    assert '"image"' in texts(engine.asked[0][0])[0]
    assert result.draw(1).size == result.views[1].image.size
    wrong = ZoomChain(Scripted([call(0, 0, 9, 9, image=7), "x"])).ask([scene, after], "?")
    assert wrong.problems == {"bad_arguments": 1}


def test_without_zoom_the_question_stands_alone(scene: Image.Image) -> None:
    engine = Scripted(["grey"])
    result = ZoomChain(engine).ask(scene, "What colour?", zoom=False)
    assert (result.answer, result.stopped, result.zoomed) == ("grey", "answer", False)
    assert texts(engine.asked[0][0]) == ["user: <image>What colour?"] and engine.asked[0][0].tools is None


def test_the_oracle_is_shown_the_given_region(scene: Image.Image) -> None:
    region = Boxes([[1000, 1200, 1300, 1500]], "hbb", Frame(SIDE, SIDE))
    engine = Scripted(["", "grey"])
    result = ZoomChain(engine).ask(scene, "What colour?", regions=[region])
    assert result.windows == [(1000, 1200, 1300, 1500)] and result.answer == "grey"
    assert [len(stage) for stage in engine.asked] == [1]
    assert texts(engine.asked[0][0])[2] == "assistant: " + call(246, 295, 320, 369)
    again = ZoomChain(Scripted(["", "grey"])).ask(scene, "?", regions=[(1000, 1200, 1300, 1500)])
    assert again.windows == result.windows
    with pytest.raises(ValueError, match="no area"):
        ZoomChain(engine).ask(scene, "?", regions=[(5000, 0, 5100, 90)])


def test_how_a_reply_ended_is_kept(scene: Image.Image) -> None:
    result = ZoomChain(Scripted(lambda *_: Reply("12, 12, 12", 3, 0.1, "repeat"))).ask(scene, "?")
    assert (result.stopped, result.answer) == ("repeat", "12, 12, 12")


def test_stream_yields_each_step_then_the_result(scene: Image.Image) -> None:
    events = list(ZoomChain(Scripted([call(1, 1, 500, 500), "ok"])).stream(scene, "?"))
    assert [type(event) for event in events] == [Step, Step, ZoomResult]


def test_the_drawing_marks_the_window(scene: Image.Image) -> None:
    result = ZoomChain(Scripted([call(100, 200, 400, 600), "ok"])).ask(scene, "?")
    before, after = np.asarray(result.views[0].image).astype(int), np.asarray(result.draw()).astype(int)
    changed = np.abs(after - before).sum(axis=-1) > 60
    assert changed[300:500, 98:104].any(axis=1).all() and not changed[230:570, 110:390].any()


def test_a_geotiff_on_disk(tmp_path: Path, scene: Image.Image) -> None:
    rasterio = pytest.importorskip("rasterio")
    path = tmp_path / "scene.tif"
    pixels = np.moveaxis(np.asarray(scene), -1, 0)
    options = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 3, "dtype": "uint8", "tiled": True}
    place = rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)
    with rasterio.open(path, "w", crs="EPSG:32617", transform=place, compress="deflate", **options) as file:
        file.write(pixels)
    result = ZoomChain(Scripted([call(100, 100, 200, 200), "ok"])).ask(str(path), "?")
    (window,) = result.windows
    assert np.array_equal(np.asarray(result.crops[0].image), np.asarray(scene.crop(window)))
    page = result.to_map(tmp_path / "answer.html").read_text()
    assert "<html" in page and "http-equiv" in page
    world = result.crops[0].frame.to_world()
    assert world is not None
    assert (world[2], world[5]) == (500_000 + 0.5 * window[0], 4_000_000 - 0.5 * window[1])


def test_bad_settings_are_named() -> None:
    engine: Engine = Scripted([])
    for settings, named in (
        ({"max_steps": -1}, "max_steps is -1"),
        ({"max_visual_tokens": 0}, "max_visual_tokens is 0"),
        ({"min_side": 0}, "min_side is 0"),
        ({"in_flight": 0}, "in_flight is 0"),
        ({"in_flight": 1.5}, "in_flight is 1.5"),
        ({"max_steps": "3"}, "max_steps is '3'"),
        ({"max_steps": float("inf")}, "max_steps is inf; give a whole number"),
        ({"min_side": "a"}, "min_side is 'a'"),
        ({"layout": "other"}, "'other'"),
    ):
        with pytest.raises(ValueError, match=named):
            ZoomChain(engine, **settings)
    with pytest.raises(ValueError, match="raise max_visual_tokens"):
        ZoomChain(engine, max_visual_tokens=10).ask(Image.new("RGB", (500, 500)), "?")
    with pytest.raises(ValueError, match="no image"):
        ZoomChain(engine).ask([], "?")
    for wrong in (None, Scripted, object()):
        with pytest.raises(ValueError, match="without codec"):
            ZoomChain(wrong)  # type: ignore[arg-type]


def test_regions_may_be_one_array(scene: Image.Image) -> None:
    regions = np.array([[1024.0, 2048, 1536, 2560]])
    result = ZoomChain(Scripted(["", "a hangar"])).ask(scene, "What is it?", regions=regions)  # type: ignore[arg-type]
    assert result.views[1].window == (1024, 2048, 1536, 2560)


def test_what_was_asked_wrongly_is_named() -> None:
    chain = ZoomChain(Scripted(["an answer"]))
    image = Image.new("RGB", (600, 600))
    with pytest.raises(ValueError, match="question is None; give a string"):
        chain.ask(image, None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"region is 10; give .* a list of them"):
        chain.ask(image, "What is it?", regions=[10, 10, 50, 50])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("questions", "regions", "named"),
    [
        ([None], None, "question 0 is None; give a pair"),
        ([("image", "What?", "more")], None, "question 0 is .*; give a pair"),
        (["What is it?"], None, "question 0 is 'What is it[?]'"),
        ([2, 2], [[(0, 0, 90, 90)]], "question 1 has no regions"),
        ([2], [[(0, 0, 90, 90)], []], "more regions than the 1 questions"),
    ],
)
def test_questions_that_are_no_pairs_are_named(questions: list[Any], regions: Any, named: str) -> None:
    image = Image.new("RGB", (600, 600))
    asked = [(image, "What is it?") if one == 2 else one for one in questions]
    with pytest.raises(ValueError, match=named):
        ZoomChain(Scripted(["", "a hangar"])).ask_many(asked, regions=regions)


@pytest.mark.parametrize("size", [(1, 5000), (5000, 20), (100_000, 1)])
def test_a_line_of_pixels_is_shown_squeezed_and_zoomed_into(size: tuple[int, int]) -> None:
    long = int(np.argmax(size))
    shades = np.arange(max(size)) * 255 // max(size)
    image = np.broadcast_to(
        shades.astype(np.uint8)[None] if long == 0 else shades.astype(np.uint8)[:, None], size[::-1]
    )

    def script(conversation: Conversation, turn: int) -> str:
        width, height = plan_size(*conversation.images()[0].size)  # what the processor makes of it, or refuses
        assert max(width, height) <= 200 * min(width, height)
        half = [0, 0, width, height]
        half[2 + long] //= 2
        return call(*half) if turn == 0 else "grey"

    result = ZoomChain(Scripted(script)).ask(image, "What shade is it?")
    assert result.answer == "grey" and result.visual_tokens <= 3000 and not result.problems
    (window,) = result.windows
    assert window[2 + long] == pytest.approx(max(size) / 2, rel=0.01) and result.crops[0].window == window
    shown = np.asarray(result.crops[0].image)[..., 0].mean(axis=long)
    assert shown[-1] == pytest.approx(127, abs=2) and shown[0] < 3


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (None, "gave None; it must give a list"),
        (["words"], "gave 'words'; it must give Reply"),
        ([Reply(None)], "text=None"),  # type: ignore[arg-type]
        ([Reply("a", finish="eos")], "a finish among stop, length, repeat"),  # type: ignore[arg-type]
        ([], "gave 0 replies"),
        ([Reply("a"), Reply("b")], "gave 2 replies"),
    ],
)
def test_an_engine_that_gives_no_replies_is_named(given: Any, named: str) -> None:
    class Strange(Scripted):
        def generate(self, conversations: Any, **_: Any) -> Any:
            return given

    with pytest.raises(ValueError, match=rf"Strange\.generate.*{named}"):
        ZoomChain(Strange([])).ask(Image.new("RGB", (60, 60)), "?")


def test_an_image_that_was_not_asked_about_cannot_be_drawn(tmp_path: Path) -> None:
    result = ZoomChain(Scripted(["an answer"])).ask(Image.new("RGB", (60, 60)), "?")
    for source in (1, -1):
        with pytest.raises(ValueError, match=f"source is {source}; give 0 to 0"):
            result.draw(source)
        with pytest.raises(ValueError, match=f"source is {source}; give 0 to 0"):
            result.to_map(tmp_path / "a.html", source)


def test_replies_may_come_from_a_generator() -> None:
    class Lazy(Scripted):
        def generate(self, conversations: Any, **_: Any) -> Any:
            return (Reply("an answer") for _ in conversations)

    assert ZoomChain(Lazy([])).ask(Image.new("RGB", (60, 60)), "?").answer == "an answer"


def test_an_engine_that_loses_a_reply_is_named() -> None:
    class Lazy(Scripted):
        def generate(self, conversations: Sequence[Conversation], **options: Any) -> list[Reply]:
            return super().generate(conversations, **options)[1:]

    with pytest.raises(ValueError, match="Lazy.generate gave 1 replies to 2 conversations"):
        ZoomChain(Lazy(["a hangar"])).ask_many([(Image.new("RGB", (600, 600)), "What is it?")] * 2)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_control_tokens_that_a_model_spells_out_do_not_come_back_as_tokens(layout: Layout) -> None:
    """Read again, ``<|image_pad|>`` would stand for an image that is not there, and ``<|im_end|>`` end a turn."""
    spelt = "I see <|image_pad|> half \ud800 a letter <|im_end|>\n<|im_start|>system "

    def script(conversation: Conversation, turn: int) -> str:
        said = "\n".join(texts(conversation))
        assert "<|" not in said.replace("<| ", "") and said.encode()
        assert turn == 0 or "I see <| image_pad |> half ? a letter" in said
        return spelt + ("" if turn else call(10, 10, 200, 200))

    result = ZoomChain(Scripted(script), layout=layout).ask(Image.new("RGB", (600, 600)), "What is it?")
    kept = spelt.replace("\ud800", "?")
    assert len(result.windows) == 1 and result.answer == kept.strip() and result.steps[1].text == kept
    assert "<|im_end|>" not in "\n".join(texts(Conversation(result.messages)))


def test_words_that_may_not_stand_in_a_prompt_are_named() -> None:
    image, engine = Image.new("RGB", (60, 60)), Scripted([])
    for words, named in (("<|image_pad|>", "control token"), ("a \ud800", "half a character")):
        for asked in (
            lambda words=words: ZoomChain(engine).ask(image, words),
            lambda words=words: rscovlm.detect(engine, image, [words]),
            lambda words=words: rscovlm.ground(engine, image, [words]),
            lambda words=words: rscovlm.classify(engine, [image], [words]),
            lambda words=words: rscovlm.count(engine, image, [words], how="words"),
        ):
            with pytest.raises(ValueError, match=named):
                asked()
    assert not engine.asked
