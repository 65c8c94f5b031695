"""A server is asked in its own budget and dialect: published, stated and checked, or refused by name."""

import copy
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import rscovlm
from rscovlm.cli import app
from rscovlm.codec import Codec
from rscovlm.codec.dialect import Dialect
from rscovlm.codec.wording import Wording
from rscovlm.engines import Server, ServerError, Transformers
from rscovlm.engines.chat_form import sent_size
from rscovlm.engines.published import Published, leaves_alone
from rscovlm.processing import PixelBudget
from rscovlm.processing.resolution import plan_size
from rscovlm.serving.loading import load_engine
from rscovlm.tasks.table import asked_tasks, task_named
from rscovlm.tasks.wanted import Wanted
from rscovlm.testing import tiny_checkpoint
from rscovlm.zoom import ZoomChain
from rscovlm.zoom.layouts import LAYOUTS
from tests.engines.asked import conversations
from tests.engines.test_server import _decoded, said, serving
from tests.serving.loopback import chat, served, uri, user
from tests.zoom.scripted import Scripted, call

BUDGET = PixelBudget(56 * 56, 168 * 168)
PICTURE = Image.fromarray(np.random.default_rng(3).integers(0, 255, (600, 900, 3), dtype=np.uint8))
WANTED = Wanted("What?", ("the ship",), ("ship",))


def address(server: Any) -> str:
    return f"http://127.0.0.1:{server.port}/v1"


def stranger(budget: PixelBudget, around: int = 2, text: str = "10,20,30,60 ship\n") -> Callable[..., Any]:
    """Answer as a server does whose processor has a budget and that publishes nothing."""

    def answer(request: dict[str, Any], _: int) -> tuple[int, Any]:
        tokens = 9
        for turn in request["messages"]:
            for block in turn["content"] if isinstance(turn["content"], list) else ():
                if block["type"] == "image_url":
                    size = plan_size(*cast(tuple[int, int], _decoded(block)["image"].size), budget)
                    tokens += budget.tokens(size) + around
        status, value = said(text)
        value["usage"]["prompt_tokens"] = tokens
        return status, value

    return answer


@pytest.mark.parametrize(
    ("family", "budget"),
    [
        ("qwen2_5_vl", BUDGET),
        ("qwen2_vl", PixelBudget(28 * 28, 112 * 112)),
        ("qwen3_vl", PixelBudget(64**2, 256**2, 32)),
    ],
)
def test_our_own_server_is_asked_as_its_model_is(tmp_path: Path, family: Any, budget: PixelBudget) -> None:
    tiny_checkpoint(tmp_path, family, budget=budget)
    local, picture = Transformers(*rscovlm.load(tmp_path, device="cpu")), PICTURE.crop((0, 0, 300, 200))
    with served(local, layout="native") as server:
        remote = Server(address(server), "rscovlm", tries=1)
        assert (remote.budget, remote.dialect, remote.layout) == (budget, local.dialect, "native")
        assert ZoomChain(remote).layout == "native"
        asked = conversations()
        found = remote.generate(asked, max_new_tokens=24)
        boxes = rscovlm.detect(remote, picture, ["ship"], max_new_tokens=60)
    expected = local.generate(asked, max_new_tokens=24)
    assert [(one.text, one.tokens, one.prompt_tokens) for one in found] == [
        (one.text, one.tokens, one.prompt_tokens) for one in expected
    ]
    own = rscovlm.detect(local, picture, ["ship"], max_new_tokens=60)
    assert [tile.window for tile in boxes.tiles] == [tile.window for tile in own.tiles]
    assert boxes.problems == own.problems and boxes.objects.labels == own.objects.labels


@pytest.mark.parametrize("preset", ["rscovlm-v1", "qwen3-vl", "gemini", "paligemma"])
def test_boxes_are_where_the_model_means_them(preset: str) -> None:
    codec = Codec.preset(preset)
    root = rscovlm.Frame(900, 600)
    box = rscovlm.Objects(rscovlm.Boxes([[100.0, 60, 400, 300]], "hbb", root), ("ship",))
    text = codec.encode(box, root.resized(*plan_size(900, 600, BUDGET)), kind="hbb")
    engine = Scripted(lambda *_: text, preset, BUDGET)
    with served(engine) as server:
        remote = Server(address(server), "rscovlm", tries=1)
        (found,) = rscovlm.ground(remote, PICTURE, ["ship"], kind="hbb")
        (direct,) = rscovlm.ground(engine, PICTURE, ["ship"], kind="hbb")
    np.testing.assert_array_equal(found.objects.boxes.coords, direct.objects.boxes.coords)
    assert abs(found.objects.boxes.coords - box.boxes.coords).max() <= 0.5 * 900 / 168


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_chain_zooms_once_wherever_it_runs(layout: Any) -> None:
    """The server would zoom by itself; for a client of ours it hands the conversation over."""
    engines = [Scripted([call(10, 10, 60, 60), "a ship"], budget=BUDGET) for _ in range(2)]
    with served(engines[0], layout=layout) as server:
        found = ZoomChain(Server(address(server), "rscovlm", tries=1)).ask(PICTURE, "What is it?")
    expected = ZoomChain(engines[1], layout=layout).ask(PICTURE, "What is it?")
    assert (found.answer, found.windows) == ("a ship", expected.windows) and len(found.windows) == 1
    for one, other in zip(engines[0].asked, engines[1].asked, strict=True):
        assert one[0].tools == other[0].tools
        assert [turn["role"] for turn in one[0].messages] == [turn["role"] for turn in other[0].messages]
        for mine, theirs in zip(one[0].images(), other[0].images(), strict=True):
            size = plan_size(theirs.width, theirs.height, BUDGET)
            assert mine.size == size
            resized = theirs.convert("RGB").resize(size, Image.Resampling.BICUBIC)
            np.testing.assert_array_equal(np.asarray(mine), np.asarray(resized))


def test_a_server_publishes_what_clients_must_know() -> None:
    engine: Any = Scripted(lambda *_: "", budget=BUDGET)
    engine.dialect = Dialect.preset("qwen2.5-vl").with_wording(Wording({"caption": {"user": "Say what is there."}}))
    import urllib.request

    with served(engine) as server:
        with urllib.request.urlopen(f"{address(server)}/models") as answer:
            listed = json.load(answer)["data"]
        with urllib.request.urlopen(f"{address(server)}/models/rscovlm") as answer:
            one = json.load(answer)
    assert listed[0] == one and not any("rscovlm" in row for row in listed[1:])
    assert one["rscovlm"]["budget"] == BUDGET.to_dict()
    assert one["rscovlm"]["fingerprint"] == engine.dialect.fingerprint
    read = Published.read(json.dumps({"data": listed}).encode(), "rscovlm")
    assert read == Published(BUDGET, engine.dialect, "reference")


@pytest.mark.parametrize("task", asked_tasks())
def test_where_nobody_knows_coordinates_are_refused_by_name(task: str) -> None:
    with serving(stranger(BUDGET)) as (server,):
        remote = Server(server.address, "tiny", tries=1)
        home = task_named(task)
        raster = rscovlm.open_image(PICTURE)
        given = {name: getattr(WANTED, name) for name in home.wants or home.may[:1]}
        wanted = Wanted(**given)
        if home.places(wanted):
            with pytest.raises(ValueError, match=f"{task}.*--processor.*--dialect and --budget"):
                home.check(remote, wanted)
            with pytest.raises(ValueError, match="it is not known how the model at the server"):
                home.rows(remote, [raster] * home.images, [wanted])
            assert not server.requests
        wordy = replace(wanted, zoom=False)
        if not home.places(wordy):
            home.check(remote, wordy)
            assert home.rows(remote, [raster] * home.images, [wordy])


def test_a_dialect_in_shares_of_the_image_needs_no_budget() -> None:
    with serving(stranger(BUDGET, text='[{"bbox_2d": [100, 100, 500, 500], "label": "ship"}]')) as (server,):
        remote = Server(server.address, "tiny", dialect="qwen3-vl", tries=1)
        (found,) = rscovlm.ground(remote, PICTURE, ["ship"])
        np.testing.assert_allclose(found.objects.boxes.coords, [[90, 60, 450, 300]])
        with pytest.raises(ValueError, match="it is not known"):
            rscovlm.ground(Server(server.address, "tiny", dialect="rscovlm-v1"), PICTURE, ["ship"])


@pytest.mark.parametrize(
    "served_by",
    [
        PixelBudget(),
        PixelBudget(56 * 56, 140 * 140),
        PixelBudget(112 * 112, 168 * 168),
        PixelBudget(64 * 64, 160 * 160, 32),
        PixelBudget(56 * 56, 168 * 168, mode="max"),
        PixelBudget(56 * 56, 168 * 168, mode="fixed"),
    ],
)
def test_another_budget_is_found_before_the_first_answer(served_by: PixelBudget) -> None:
    with serving(stranger(served_by)) as (server,):
        remote = Server(server.address, "tiny", dialect="rscovlm-v1", budget=BUDGET, tries=1)
        with pytest.raises(
            ValueError, match=r"does not show .* as they are planned: a picture of .*--processor or --budget"
        ):
            rscovlm.ground(remote, PICTURE, ["ship"])
        assert len(server.requests) == 3 and {one["max_tokens"] for one in server.requests} == {1}
        trusting = Server(server.address, "tiny", dialect="rscovlm-v1", budget=BUDGET, tries=1, probe=False)
        assert rscovlm.ground(trusting, PICTURE, ["ship"])


@pytest.mark.parametrize("task", ["ground", "detect", "ask", "caption", "segment"])
def test_predict_ends_at_another_budget_with_one_error_and_no_row(task: str, tmp_path: Path) -> None:
    for number in range(3):
        PICTURE.save(tmp_path / f"{number}.png")
    out = tmp_path / "rows.jsonl"
    words = ["predict", str(tmp_path), "--task", task, "--find", "ship", "--question", "What?", "--classes", "ship"]
    with serving(stranger(PixelBudget())) as (server,):
        words += ["--server", server.address, "--model", "tiny", "--out", str(out)]
        done = CliRunner().invoke(app, [*words, "--dialect", "rscovlm-v1", "--budget", "3136,28224"])
        assert all(one["max_tokens"] == 1 for one in server.requests)
    assert done.exit_code == 2
    assert done.output.count("does not show") == 1 and "--budget" in done.output
    assert not out.exists() or len(out.read_text().splitlines()) == 1


@pytest.mark.parametrize("around", [0, 2, 5])
def test_a_budget_that_agrees_is_checked_once(around: int) -> None:
    wider = PixelBudget(28 * 28, 1400 * 1400)
    with serving(stranger(BUDGET, around), stranger(wider, around)) as servers:
        addresses = [server.address for server in servers]
        remote = Server(addresses, "tiny", dialect="rscovlm-v1", budget=BUDGET, tries=1, concurrency=8)
        for _ in range(3):
            rscovlm.ground(remote, PICTURE, [f"ship {number}" for number in range(8)], kind="hbb")
        probes = [sum(one["max_tokens"] == 1 for one in server.requests) for server in servers]
        assert probes == [3, 3] and sum(len(server.requests) for server in servers) == 24 + 6


def test_words_alone_check_nothing() -> None:
    with serving(stranger(PixelBudget())) as (server,):
        remote = Server(server.address, "tiny", dialect="rscovlm-v1", budget=BUDGET, tries=1)
        remote.generate([rscovlm.engines.Conversation([{"role": "user", "content": "Hi"}])])
        assert len(server.requests) == 1


def test_servers_that_count_no_images_are_believed(caplog: pytest.LogCaptureFixture) -> None:
    def uncounted(request: dict[str, Any], number: int) -> tuple[int, Any]:
        return said("10,20,30,60 ship\n")

    def texts_only(request: dict[str, Any], number: int) -> tuple[int, Any]:
        status, value = said("10,20,30,60 ship\n")
        value["usage"]["prompt_tokens"] = 12
        return status, value

    for answer in (uncounted, texts_only):
        caplog.clear()
        with serving(answer) as (server,):
            remote = Server(server.address, "tiny", dialect="rscovlm-v1", budget=BUDGET, tries=1)
            assert len(rscovlm.ground(remote, PICTURE, ["ship"])[0].objects) == 1
        assert "the budget is not checked" in caplog.text


def test_budgets_that_leave_each_other_alone() -> None:
    """By definition: what the client sends is shown as the client plans it, slim images that have no fixed point too."""
    sides = [56, 112, 168, 224]
    budgets = [
        PixelBudget(low * low, high * high, factor, mode)
        for low, high in itertools.combinations_with_replacement(sides, 2)
        for factor in (28, 32)
        for mode in ("native", "max")
    ]
    sizes = [(w, h) for w in (20, 90, 150, 333, 900) for h in (31, 100, 170, 500)]
    for server, sent in itertools.product(budgets, budgets):
        if leaves_alone(server, sent):
            for size in sizes:
                try:
                    shown = plan_size(*sent_size(size, sent, server), server)
                except ValueError as error:
                    assert server != sent and "give both the same budget" in str(error)
                else:
                    assert shown == plan_size(*size, sent), (server, sent, size)


def test_a_budget_that_contradicts_what_is_published_is_refused() -> None:
    with served(Scripted(lambda *_: "10,20,30,60 ship\n", budget=BUDGET)) as server:
        for budget in (PixelBudget(), PixelBudget(64 * 64, 128 * 128, 32)):
            with pytest.raises(ValueError, match="leave the budget out"):
                rscovlm.ground(Server(address(server), "rscovlm", dialect="rscovlm-v1", budget=budget), PICTURE, ["a"])
        smaller = Server(address(server), "rscovlm", budget=PixelBudget(56 * 56, 112 * 112))
        assert rscovlm.ground(smaller, PICTURE, ["ship"])[0].objects.labels == ("ship",)


def test_replicas_must_have_one_model() -> None:
    with (
        served(Scripted(lambda *_: "10,20,30,60 ship\n", budget=BUDGET)) as one,
        served(Scripted(lambda *_: "10,20,30,60 ship\n", "qwen3-vl", budget=BUDGET)) as other,
    ):
        remote = Server([address(one), address(other)], "rscovlm", tries=1)
        with pytest.raises(ValueError, match="another replica 'rscovlm-v1'"):
            for _ in range(3):
                rscovlm.ground(remote, PICTURE, ["ship", "plane", "quay"], kind="hbb")


def test_what_is_published_must_be_readable() -> None:
    values = Published(BUDGET, Dialect.preset("rscovlm-v1")).to_dict()
    for broken in (
        {**values, "budget": {"max_pixels": "many"}},
        {**values, "budget": {**values["budget"], "sides": 3}},
        {**values, "dialect": {"name": "x", "codec": {"space": "miles"}}},
        {name: value for name, value in values.items() if name != "dialect"},
    ):
        with pytest.raises(ValueError, match="cannot be read"):
            Published.read(json.dumps({"data": [{"id": "m", "rscovlm": broken}]}).encode(), "m")
    for nothing in (b"", b"[]", b"{}", b'{"data": 3}', b'{"data": [3, {"id": "n"}]}', b'{"data": [{"id": "m"}]}'):
        assert Published.read(nothing, "m") is None


def test_a_dead_server_is_named() -> None:
    with pytest.raises(ServerError, match="http://127.0.0.1:9.*start it, or state it"):
        _ = Server("http://127.0.0.1:9/v1", "tiny").budget


def test_the_command_line_states_and_refuses(tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "a.png")
    tiny_checkpoint(tmp_path / "tiny", budget=BUDGET)
    with serving(stranger(BUDGET)) as (server,):
        asked = ["predict", str(tmp_path / "a.png"), "--server", server.address, "--model", "tiny"]
        detects = [*asked, "--task", "detect", "--classes", "ship", "--kind", "hbb", "--out"]
        refused = CliRunner().invoke(app, [*detects, str(tmp_path / "0.jsonl")])
        assert refused.exit_code == 2 and "--processor" in refused.output and "detect" in refused.output
        assert not server.requests
        wrong = CliRunner().invoke(
            app, [*detects, str(tmp_path / "1.jsonl"), "--dialect", "rscovlm-v1", "--budget", "50176,1016064"]
        )
        assert wrong.exit_code != 0 and "as they are planned" in wrong.output + (tmp_path / "1.jsonl").read_text()
        words = CliRunner().invoke(app, [*asked, "--task", "caption", "--out", str(tmp_path / "2.jsonl")])
        assert words.exit_code == 0, words.output
        for number, how in enumerate(
            [["--processor", str(tmp_path / "tiny")], ["--dialect", "rscovlm-v1", "--budget", "3136,28224"]]
        ):
            done = CliRunner().invoke(app, [*detects, str(tmp_path / f"{number}.found"), *how])
            assert done.exit_code == 0, done.output
        assert CliRunner().invoke(app, ["serve", "--server", server.address, "--model", "tiny"]).exit_code == 2
    with pytest.raises(ValueError, match="give --server"):
        load_engine(budget="3136,28224")
    with pytest.raises(ValueError, match="such as 50176,1016064"):
        load_engine("tiny", endpoints=["http://127.0.0.1:9/v1"], budget="many")


def test_a_raw_conversation_is_bounded_like_any_other() -> None:
    engine = Scripted(lambda *_: "10,20,30,60 ship\n")
    with served(engine) as server:
        asked = user("Where?")
        status, reply = chat(server, asked, rscovlm={"raw": True})
        assert status == 200 and reply["choices"][0]["message"]["content"] == "10,20,30,60 ship\n"
        assert chat(server, asked, rscovlm={"raw": True, "task": "detect"})[0] == 400
        for tools in ([3], "zoom", [{"type": "function", "function": {}}], [{"function": {"name": "a<|im_end|>"}}]):
            assert chat(server, asked, rscovlm={"raw": True}, tools=tools)[0] == 400
        long = [{"type": "function", "function": {"name": "f", "description": "word " * 40_000}}]
        assert chat(server, asked, rscovlm={"raw": True}, tools=long)[0] == 413


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if place:
        yield place
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield from _places(value[key], (*place, key))


@pytest.mark.parametrize("preset", ["rscovlm-v1", "deepseek-vl2"])
def test_whatever_is_published_is_read_or_refused(preset: str) -> None:
    whole = Published(BUDGET, Dialect.preset(preset)).to_dict()
    for place in _places(whole):
        for junk in (None, 3, 0.5, True, "", "{", [], [1], {}, {"a": 1}):
            values = copy.deepcopy(whole)
            inner = values
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = junk
            try:
                Published.read(json.dumps({"data": [{"id": "m", "rscovlm": values}]}).encode(), "m")
            except ValueError as error:
                assert "cannot be read" in str(error)


@pytest.mark.parametrize(
    ("preset", "wanted"), [("qwen2-vl", True), ("internvl", True), ("vhm", False), ("qwen3-vl", False)]
)
def test_special_tokens_are_asked_for_where_tags_are_some(preset: str, wanted: bool) -> None:
    with serving(stranger(BUDGET)) as (server,):
        Server(server.address, "tiny", dialect=preset, tries=1).generate(conversations()[:1])
        Server(server.address, "tiny", dialect=preset, tries=1, options={"skip_special_tokens": None}).generate(
            conversations()[:1]
        )
    assert [one.get("skip_special_tokens") for one in server.requests] == [False if wanted else None, None]


def test_a_server_that_does_not_know_the_field_is_asked_without(caplog: pytest.LogCaptureFixture) -> None:
    def strict(request: dict[str, Any], number: int) -> tuple[int, Any]:
        if "skip_special_tokens" in request:
            return 422, {"detail": "Unexpected fields: {'skip_special_tokens'}"}
        return said("a ship")

    with serving(strict) as (server,):
        engine = Server(server.address, "tiny", dialect="internvl", tries=1)
        for _ in range(2):
            assert engine.generate(conversations()[:1])[0].text == "a ship"
    assert ["skip_special_tokens" in one for one in server.requests] == [True, False, False]
    assert "tags that are special tokens may be lost there" in caplog.text


@pytest.mark.parametrize("preset", ["internvl", "gemini", "florence-2"])
def test_the_style_of_an_answer_need_not_be_that_of_the_model(preset: str) -> None:
    codec, root = Codec.preset(preset), rscovlm.Frame(168, 140)
    box = rscovlm.Objects(rscovlm.Boxes([[20.0, 30, 80, 90]], "hbb", root), ("ship",))
    with served(Scripted(lambda *_: codec.encode(box, root), preset, BUDGET)) as server:
        picture = uri(Image.new("RGB", (168, 140)))
        for style, start in (("plain", "20,30,80,90 ship"), ("json", "```json")):
            asked = {"task": "detect", "classes": ["ship"], "style": style}
            status, reply = chat(server, user("", picture), rscovlm=asked)
            assert status == 200 and reply["choices"][0]["message"]["content"].startswith(start), reply
        status, reply = chat(server, user("Where?", picture))
        assert status == 200 and "20,30,80,90 ship" in reply["choices"][0]["message"]["content"]
        before = reply["choices"][0]["message"]["content"]
        history = [user("Where?", picture), {"role": "assistant", "content": before}, user("And now?")]
        assert chat(server, *history)[0] == 200


def test_a_key_that_is_wrong_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with served(Scripted(lambda *_: "10,20,30,60 ship\n", budget=BUDGET), api_key="k") as server:
        with pytest.raises(ValueError, match="it is not known"):
            rscovlm.ground(Server(address(server), "rscovlm", tries=1), PICTURE, ["ship"])
        assert "status 401; is the key right" in caplog.text
        assert rscovlm.ground(Server(address(server), "rscovlm", api_key="k", tries=1), PICTURE, ["ship"])[0].objects
        other = Server(address(server), "rscovlm:detect", api_key="k", tries=1)
        with pytest.raises(ValueError, match="it is not known"):
            rscovlm.ground(other, PICTURE, ["ship"])
        assert "of model rscovlm, not of 'rscovlm:detect'" in caplog.text


def test_ours_may_stand_in_front_of_ours() -> None:
    engine = Scripted([call(10, 10, 60, 60), "a ship"], budget=BUDGET)
    with served(engine) as inner, served(Server(address(inner), "rscovlm", tries=1), model="outer") as outer:
        remote = Server(address(outer), "outer", tries=1)
        assert (remote.budget, remote.dialect) == (BUDGET, Dialect.preset("rscovlm-v1"))
        result = ZoomChain(remote).ask(PICTURE, "What is it?")
        # A client that knows nothing is zoomed for by the outer one alone.
        status, reply = chat(outer, user("What is it?", uri(PICTURE)), model="outer")
    assert (result.answer, len(result.windows)) == ("a ship", 1)
    assert status == 200 and [one["window"] for one in reply["rscovlm"]["windows"]] == [list(result.windows[0])]
    assert [len(asked[0].images()) for asked in engine.asked] == [1, 2, 1, 2]


def test_a_suite_is_not_asked_in_a_budget_that_nobody_knows(tmp_path: Path) -> None:
    from rscovlm.benchmarks.asking import Asker
    from rscovlm.benchmarks.items import BenchmarkItem
    from rscovlm.benchmarks.suite import Asking
    from rscovlm.records import Annotation, Record
    from rscovlm.records.record import ImageRef

    PICTURE.save(tmp_path / "a.png")
    box = Annotation((0, 0, 9, 9), "ship", "hbb")
    record = Record("1", "mine", "test", "grounding", (ImageRef("a.png"),), expression="ship", objects=(box,))
    item = BenchmarkItem("1", record, tmp_path, "all", "")
    with serving(stranger(BUDGET)) as (server,):
        asker = Asker(Server(server.address, "tiny", tries=1), Asking())
        with pytest.raises(ValueError, match="'ground' needs coordinates"):
            list(asker.rows([item]))
        assert not server.requests
        known = Server(server.address, "tiny", dialect="rscovlm-v1", budget=BUDGET, tries=1)
        assert len(list(Asker(known, Asking()).rows([item]))) == 1
