"""What a model writes: asked over a real socket, kept, resumed, checked, rejected with a reason."""

from __future__ import annotations

import base64
import io
import json
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from rscovlm.cli.data import app
from rscovlm.data.storage import read_records, write_jsonl
from rscovlm.engines import Server
from rscovlm.records.record import Annotation, ImageRef, Record
from rscovlm.records.tally import Tally
from rscovlm.scenes import SceneConfig, make_scene
from rscovlm.synthesis import Interview, SynthesisConfig, UniqueConfig, multiple_choice, unique_questions
from rscovlm.synthesis.interview import Ask
from rscovlm.synthesis.replies import check_distractors, check_pair, same
from rscovlm.tasks.table import problems as problems_of
from tests.synthesis.loopback import serving


def _ask(*keys: str) -> list[Ask]:
    return [Ask(key, lambda key=key: [{"role": "user", "content": key}]) for key in keys]  # type: ignore[misc]


def _echo(body: dict[str, Any]) -> str:
    return f"about {body['messages'][-1]['content']}"


def test_replies_are_kept_and_not_asked_again(tmp_path: Path) -> None:
    journal = tmp_path / "replies.jsonl"
    keys = [f"k{i}" for i in range(20)]
    with serving(_echo) as server:
        first = Interview(Server(server.address, "m"), journal, max_requests=12, concurrency=3)
        replies = [reply for _, reply in first.ask(_ask(*keys))]
        assert sum(reply is None for reply in replies) == 8
        assert len(server.requests) == first.sent == 12
        # The last line was cut by a crash.
        journal.write_bytes(journal.read_bytes()[:-20])
        second = Interview(Server(server.address, "m"), journal, concurrency=3)
        assert [(ask.key, reply) for ask, reply in second.ask(_ask(*keys))] == [(key, f"about {key}") for key in keys]
        assert second.sent == 9
        assert [reply for _, reply in Interview(Server(server.address, "m"), journal).ask(_ask(*keys))] == [
            f"about {k}" for k in keys
        ]
        assert len(server.requests) == 21


def test_a_refused_request_keeps_the_replies_before_it(tmp_path: Path) -> None:
    with serving(lambda body: "refuse" if body["messages"][-1]["content"] == "k5" else "fine") as server:
        with pytest.raises(ValueError, match="refused"):
            list(
                Interview(Server(server.address, "m", tries=1), tmp_path / "j").ask(_ask(*[f"k{i}" for i in range(9)]))
            )
        again = Interview(Server(server.address, "m"), tmp_path / "j")
        assert len(list(again.ask(_ask("k0", "k1", "k2", "k3", "k4")))) == 5
        assert again.sent == 0


def test_rate_and_token_budget(tmp_path: Path) -> None:
    with serving(lambda _: "one two three") as server:
        start = time.monotonic()
        slow = Interview(Server(server.address, "m"), tmp_path / "a", requests_per_minute=1200, concurrency=4)
        list(slow.ask(_ask(*[f"k{i}" for i in range(9)])))
        assert time.monotonic() - start > 8 * 0.05 * 0.95
        capped = Interview(Server(server.address, "m"), tmp_path / "b", max_tokens=10)
        replies = [reply for _, reply in capped.ask(_ask(*[f"k{i}" for i in range(9)]))]
        assert replies == ["one two three"] * 4 + [None] * 5
        assert capped.tokens == 12
    with pytest.raises(ValueError, match="concurrency 0"):
        Interview(Server(server.address, "m"), tmp_path / "c", concurrency=0)


REFERENCE = "the top-most ship"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("I cannot.", "reply is no JSON"),
        ('{"question": "What color is the top-most ship?"}', "reply lacks question or answer"),
        ('{"question": 3, "answer": "x"}', "reply lacks question or answer"),
        ('{"question": "", "answer": ""}', "writer saw nothing to ask"),
        ('{"question": "The top-most ship.", "answer": "red"}', "not a question"),
        ('{"question": "What color is the ship?", "answer": "red"}', "target not named"),
        ('{"question": "In the crop, what color is the top-most ship?", "answer": "red"}', "speaks of the crop"),
        (
            '{"question": "What color is the top-most ship?", "answer": "red with a long white stripe along"}',
            "answer too long",
        ),
        ('{"question": "Why is the top-most ship red?", "answer": "red"}', "question gives the answer away"),
    ],
)
def test_pairs_that_cannot_be_used_say_why(reply: str, reason: str) -> None:
    tally = Tally(1.0)
    with tally.row("x"):
        check_pair(reply, REFERENCE)
    assert tally.dropped == {reason: 1}


@pytest.mark.parametrize(
    "reply",
    [
        '{"question": "What color is the top-most ship?", "answer": "red"}',
        'Here you are:\n```json\n{"question": "What color is  the TOP-MOST ship?", "answer": "red."}\n```',
        'text {not json} {"question": "What color is the top-most ship?", "answer": " red "} more',
    ],
)
def test_pairs_are_found_in_any_prose(reply: str) -> None:
    question, answer = check_pair(reply, REFERENCE)
    assert question.lower() == "what color is the top-most ship?"
    assert answer == "red"
    assert (
        check_pair('{"question": "Is the area of the top-most ship rural or urban?", "answer": "urban"}', REFERENCE)[1]
        == "urban"
    )


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("none", "reply is no JSON"),
        ('["blue", "green"]', "not three options"),
        ('["blue", "green", 3]', "not three options"),
        ('["blue", "green", ""]', "not three options"),
        ('["blue", "Red.", "green"]', "option equals the answer"),
        ('["blue", "the blue", "green"]', "options repeat"),
        ('["blue", "...", "green"]', "option too long or empty"),
    ],
)
def test_distractors_that_cannot_be_used_say_why(reply: str, reason: str) -> None:
    tally = Tally(1.0)
    with tally.row("x"):
        check_distractors(reply, "red")
    assert tally.dropped == {reason: 1}


def _scenes(root: Path, count: int) -> list[Record]:
    records = []
    for number in range(count):
        scene = make_scene(number, SceneConfig(min_objects=1))
        scene.image.save(root / f"{number}.png")
        objects = tuple(Annotation(tuple(item.quad.ravel().tolist()), item.label, "quad") for item in scene.objects)
        image = ImageRef(f"{number}.png", width=scene.image.width, height=scene.image.height)
        names = tuple(sorted({item.label for item in objects}))
        records.append(Record(str(number), "scenes", "train", "detection", (image,), objects=objects, categories=names))
    return records


def _vision_model(body: dict[str, Any]) -> str:
    """Look at the picture that came over the wire, and write what was asked for."""
    text = body["messages"][-1]["content"]
    if isinstance(text, str):
        return '["blue", "green", "brown"]' if "Right answer" in text else "?"
    (picture,) = [part for part in text if part["type"] == "image_url"]
    data = picture["image_url"]["url"].partition("base64,")[2]
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    system = body["messages"][0]["content"]
    system = system if isinstance(system, str) else system[0]["text"]
    reference = system.partition('exactly as "')[2].partition('"')[0]
    shade = "bright" if np.asarray(image.convert("L")).mean() > 110 else "dark"
    return json.dumps({"question": f"How does the ground look at {reference}?", "answer": shade})


def test_the_whole_synthesis_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = _scenes(tmp_path, 6)
    write_jsonl(records, tmp_path / "scenes.jsonl")
    monkeypatch.setenv("WRITER_KEY", "secret-of-the-test")
    with serving(_vision_model) as server:
        writer = {"endpoint": server.address, "model": "m", "api_key_env": "WRITER_KEY", "requests_per_minute": 0}
        settings = {"templates": {"per_image": 2}, "unique": {"least": 40}, "multiple_choice": True, "writer": writer}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
        names = ["config.yaml", "scenes.jsonl", "zoom.jsonl"]
        command = [
            "synthesise",
            *(str(tmp_path / n) for n in names),
            "--root",
            str(tmp_path),
            "--journal",
            str(tmp_path / "j.jsonl"),
        ]
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
        made = list(read_records(tmp_path / "zoom.jsonl"))
        sent = len(server.requests)
        assert CliRunner().invoke(app, command).exit_code == 2  # the records are there
        assert CliRunner().invoke(app, [*command, "--overwrite"]).exit_code == 0
        assert len(server.requests) == sent
    assert made == list(read_records(tmp_path / "zoom.jsonl"))
    assert all(problems_of(record) == [] for record in made)
    assert len({record.id for record in made}) == len(made)
    opened = [record for record in made if not record.choices and "reference" in record.extra]
    chosen = [record for record in made if record.choices]
    assert opened
    assert len(chosen) == len([record for record in made if not record.choices])
    for record in chosen:
        assert len(record.choices) == 4
        assert not any(same(one, other) for one, other in combinations(record.choices, 2))
        assert record.choices["ABCD".index(record.answer)] == record.extra["open_answer"]
    assert len({record.answer for record in chosen}) > 1
    for record in opened:
        (region,), (item,) = record.regions, record.objects
        xs, ys = item.box[0::2], item.box[1::2]
        assert region[0] <= (min(xs) + max(xs)) / 2 <= region[2]
        assert region[1] <= (min(ys) + max(ys)) / 2 <= region[3]
    assert "secret-of-the-test" not in "".join(path.read_text() for path in tmp_path.glob("*.*l"))


def test_unusable_replies_are_counted_and_the_sum_is_whole(tmp_path: Path) -> None:
    known: dict[str, int] = {}

    def unreliable(body: dict[str, Any]) -> str:
        # Every other question is never answered, however often it is asked.
        number = known.setdefault(json.dumps(body["messages"]), len(known))
        return _vision_model(body) if number % 2 else "I would rather not."

    with serving(unreliable) as server:
        tally = Tally(1.0)
        interview = Interview(Server(server.address, "m"), tmp_path / "j")
        config = UniqueConfig(least=40, categories=("color",), per_target=1)
        rows = list(unique_questions(_scenes(tmp_path, 8), tmp_path, interview, config, tally=tally))
        # What cannot be used is asked for once more.
        assert tally.seen == len(known) and len(server.requests) == tally.seen + tally.dropped.total()
        assert tally.kept == len(rows) == tally.seen // 2
        assert set(tally.dropped) == {"reply is no JSON"}
        left = Tally(1.0)
        spent = Interview(Server(server.address, "m"), tmp_path / "k", max_requests=0)
        assert list(multiple_choice(rows, spent, tally=left)) == []
        assert left.dropped == {"budget spent": len(rows)}


def test_an_unusable_reply_is_asked_for_again_in_this_run_and_the_next(tmp_path: Path) -> None:
    replies = iter(["no", "no", "no", "fine"])
    with serving(lambda body: next(replies)) as server:
        asked = [Ask("k", lambda: [{"role": "user", "content": "k"}], lambda reply: reply == "fine")]
        first = Interview(Server(server.address, "m"), tmp_path / "j")
        assert [reply for _, reply in first.ask(asked)] == ["no"] and first.sent == 2
        second = Interview(Server(server.address, "m"), tmp_path / "j")
        assert [reply for _, reply in second.ask(asked)] == ["fine"] and second.sent == 2
        third = Interview(Server(server.address, "m"), tmp_path / "j")
        assert [reply for _, reply in third.ask(asked)] == ["fine"] and third.sent == 0
        bounded = Interview(Server(server.address, "m"), tmp_path / "k", max_requests=0)
        assert [reply for _, reply in bounded.ask(asked)] == [None]


def test_a_synthesis_of_which_most_is_unusable_does_not_end_well(tmp_path: Path) -> None:
    write_jsonl(_scenes(tmp_path, 6), tmp_path / "scenes.jsonl")
    known: dict[str, int] = {}

    def unreliable(body: dict[str, Any]) -> str:
        number = known.setdefault(json.dumps(body["messages"]), len(known))
        return "I would rather not." if number % 10 < 7 else _vision_model(body)

    with serving(unreliable) as server:
        writer = {"endpoint": server.address, "model": "m", "requests_per_minute": 0}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({"unique": {"least": 40}, "writer": writer}))
        words = ["synthesise", *(str(tmp_path / name) for name in ("config.yaml", "scenes.jsonl", "zoom.jsonl"))]
        words += ["--root", str(tmp_path), "--journal", str(tmp_path / "j.jsonl"), "--overwrite"]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 1 and "could not be used, more than --limit 0.5" in done.output, done.output
        assert list(read_records(tmp_path / "zoom.jsonl"))  # what could be used is there
        assert CliRunner().invoke(app, [*words, "--limit", "1"]).exit_code == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"unique": {}}, "need a writer"),
        ({"templates": {"per_imgae": 3}}, "per_imgae"),
        ({"temlates": {}}, "temlates"),
        ({"writer": {"model": "m"}}, "writer has no endpoint"),
        ({"unique": {"categories": ["smell"]}, "writer": {"endpoint": "http://x", "model": "m"}}, "smell"),
        ([1], "give keys and values"),
    ],
)
def test_configurations_with_mistakes_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ValueError, match=message):
        SynthesisConfig.load(tmp_path / "c.yaml")
