"""Questions about pads have the answers that they show; lessons ask what policies ask; two steps of training run."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rscovlm.experiments.policies.lessons import kind_of, lessons_of, phrases, prompt_of
from rscovlm.experiments.policies.pads import SIDE, TASKS, PadTask, draw_question, holds, legible, marking_box
from rscovlm.experiments.policies.quotas import BATCH, SHARES, TIMES, LastReply, Lessons
from rscovlm.loading import load_processor
from rscovlm.scenes.legibility import read_marking
from rscovlm.scenes.pad import GLYPHS
from rscovlm.zoom.policies import POLICIES
from rscovlm.zoom.policies.confidence import words


@pytest.mark.parametrize("task", TASKS)
def test_answers_follow_from_what_is_drawn(task: PadTask) -> None:
    rng = np.random.default_rng(3)
    answers = []
    for _ in range(6):
        asked = draw_question(rng, task)
        # Read from the pixels, by a program that knows where to look.
        read = [read_marking(asked.image, pad) for pad in asked.pads]
        assert read == [pad.glyph for pad in asked.pads]
        if task == "one":
            assert [asked.answer] == read
        elif task == "compare":
            assert asked.answer == ("yes" if read[0] == read[1] else "no")
            first, second = (np.array(pad.centre) for pad in asked.pads)
            assert np.abs(first - second).max() >= 0.45 * SIDE
        else:
            assert asked.answer == str(read.count(asked.question.removesuffix("?").split()[-1]))
        answers.append(asked.answer)
        overview = (0, 0, SIDE, SIDE)
        assert all(holds(pad, overview) and not legible(pad, overview, 84) for pad in asked.pads)
        x1, y1, x2, y2 = (int(side) for side in marking_box(asked.pads[0]))
        assert legible(asked.pads[0], (x1 - 40, y1 - 40, x2 + 40, y2 + 40), 84)
        assert not holds(asked.pads[0], (x1 + 8, y1, x2 + 40, y2))
    assert len(set(answers)) > 1


@pytest.mark.parametrize("policy", ["tree", "assess", "branch", "grid", "vote", "none"])
def test_lessons_hold_a_picture_for_each_place_and_a_true_reply(policy: str) -> None:
    rng = np.random.default_rng(5)
    asked = draw_question(rng, "count")
    seen: Counter[str] = Counter()
    for sample in lessons_of(asked, policy, rng):
        blocks = [
            block for turn in sample["messages"] if not isinstance(turn["content"], str) for block in turn["content"]
        ]
        assert sum(block["type"] == "image" for block in blocks) == len(sample["images"])
        assert not any("image" in block for block in blocks)
        text = next(turn["content"][-1]["text"] for turn in sample["messages"] if turn["role"] == "user")
        reply, prompt = sample["messages"][-1]["content"][0]["text"], prompt_of(text)
        seen[prompt] += 1
        if prompt in ("seen", "closer", "enough"):
            assert reply in ("yes", "no")
        elif prompt == "part":
            assert reply == "nothing" or set(reply.split(", ")) <= set(GLYPHS)
        elif prompt in ("plan", "ground"):
            assert reply.count(" region\n") == len(asked.pads)
        elif prompt == "gather":
            # Whatever markings the list has: the answer is what stands there, counted by another way.
            marks = re.findall(r"\b(plus|cross|bars|ring)\b(?=[,\n])", text)
            target = re.findall(r"marking (\w+)\?", text)
            assert reply == str(sum(mark == target[0] for mark in marks))
        else:
            assert reply == asked.answer
    wanted = {
        "tree": "seen",
        "assess": "enough",
        "branch": "plan",
        "grid": "enough",
        "vote": "answer",
        "none": "answer",
    }
    assert seen[wanted[policy]] and policy in {*POLICIES, "none"}


@pytest.mark.parametrize("task", TASKS)
def test_the_regions_that_are_taught_show_a_marking_large_enough(task: PadTask) -> None:
    """A region of the plan, read from its text on the grid that the model sees."""
    rng = np.random.default_rng(8)
    asked = draw_question(rng, task)
    (plan,) = [one for one in lessons_of(asked, "branch", rng) if kind_of(one) == "plan"]
    lines = plan["messages"][-1]["content"][0]["text"].splitlines()
    corners = [np.array(re.findall(r"\d+", line), float).reshape(4, 2) * SIDE / 84 for line in lines]
    windows = [(*one.min(0), *one.max(0)) for one in corners]
    assert len(windows) == len(asked.pads)
    for pad in asked.pads:
        assert sum(legible(pad, window, 84) for window in windows) == 1
        assert sum(legible(pad, window, 42) for window in windows) == 1  # twice what is needed


def test_the_loss_falls_on_the_last_reply_of_what_a_policy_asked() -> None:
    """Calls that stand in the model's name before it are not trained: some of them look where nothing is."""
    processor = load_processor("embedded")
    rng = np.random.default_rng(6)
    several: list[Any] = []
    while not several:
        several = [one for one in lessons_of(draw_question(rng, "count"), "assess", rng) if kind_of(one) == "looks"]
    said = several[0]["messages"][-1]["content"][0]["text"]
    assert sum(turn["role"] == "assistant" for turn in several[0]["messages"]) > 1
    for last in (True, False):
        encoded = LastReply(processor)({**several[0], "last": last})
        text = processor.tokenizer.decode([label for label in encoded.labels if label >= 0])
        assert (text == f"{said}<|im_end|>") is last and text.endswith(f"{said}<|im_end|>")


def test_a_marking_is_the_same_token_where_it_is_read_listed_and_asked_for() -> None:
    from tokenizers import AddedToken

    tokenizer = load_processor("embedded").tokenizer
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in phrases()])
    for glyph in GLYPHS:
        (token,) = tokenizer(glyph)["input_ids"]
        listed = tokenizer(
            f"- [1,2,3,4]: {glyph}\n- [5,6,7,8]: {glyph}\nHow many white pads carry the marking {glyph}?"
        )
        assert listed["input_ids"].count(token) == 3
    assert len(tokenizer("nothing")["input_ids"]) == 1


def test_each_kind_of_lesson_has_its_share_and_batches_are_mixed() -> None:
    """Policies themselves ask yes or no in six of ten lessons."""
    lessons = Lessons(480, seed=4)
    kinds = ["call" if lessons[place].get("last") is None else kind_of(lessons[place]) for place in range(len(lessons))]
    counts = Counter(kinds)
    assert set(counts) <= set(SHARES)
    for kind, share in SHARES.items():
        assert abs(counts[kind] / len(kinds) - share) <= 0.5 * TIMES / len(kinds) + 0.02, kind
    batches = [set(kinds[start : start + BATCH]) for start in range(0, len(kinds), BATCH)]
    assert min(map(len, batches)) > 1


def test_lessons_depend_on_their_number_alone() -> None:
    first, again = Lessons(96, seed=2, block=48), Lessons(96, seed=2, block=48)
    late = again[70]
    assert first[0]["messages"] == again[0]["messages"]
    assert first[70]["messages"] == late["messages"] and first[0]["messages"] != Lessons(96, seed=3)[0]["messages"]


def test_every_sentence_of_a_policy_is_known_again() -> None:
    for name, sentence in words().items():
        assert prompt_of(sentence.replace("{question}", "Is it dry?")) == name
    assert all(len(one) > 2 for one in phrases()) and len(set(phrases())) == len(phrases())


def test_two_steps_of_the_recipe_run(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="trl is not installed")
    from rscovlm.experiments.policies.__main__ import train_policies
    from rscovlm.loading import load

    trainer = train_policies(tmp_path, steps=2, logging_steps=1)
    assert [entry["loss"] > 0 for entry in trainer.state.log_history if "loss" in entry] == [True, True]
    _, processor = load(str(tmp_path), device="cpu")
    for text in phrases():
        assert len(processor.tokenizer(text)["input_ids"]) == 1, text
    sizes = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["text_config"]["vocab_size"]
    assert sizes == len(processor.tokenizer)


def test_figures_of_all_kinds_are_written_and_those_of_another_run_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rscovlm.embedded import embedded_model
    from rscovlm.experiments.policies.__main__ import main

    folder = tmp_path / "model"
    shutil.copytree(embedded_model(), folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    monkeypatch.setattr("sys.argv", ["policies", str(folder), "--count", "1", "--policies", "vote"])
    main()
    written = (folder / "policies.json").read_text(encoding="utf-8")
    assert list(json.loads(written)) == list(TASKS)
    with pytest.raises(ValueError, match=r"policies.json exists already"):
        main()
    assert (folder / "policies.json").read_text(encoding="utf-8") == written
