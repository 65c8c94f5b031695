"""The words of released checkpoints are read from a clone as data: nothing of it is run."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rscovlm
from rscovlm.codec.dialect import Dialect
from rscovlm.codec.reference_wording import read_reference
from tests.zoom.scripted import Scripted, call, texts

# A tree of the reference repository's structure, in other words: two branches by `prob_plain_text_prompt`, templates in functions
# of their own, texts in dictionaries of turns.
BOXES = """
import {trap}
open({ran!r}, "w").write("ran")

def select_hbb_json_prompt_template(rate=0.5):
    MAIN_TEMPLATE = "Box: {{{place}}} (JSON)"
    PROXY_TEMPLATE = [
        "JSON of {{{place}}}",
        "all {{{place}}} as JSON",
    ]
    return MAIN_TEMPLATE

def select_obb_json_prompt_template(rate=0.5):
    MAIN_TEMPLATE = "Turned: {{{place}}} (JSON)"
    PROXY_TEMPLATE = ["turned JSON of {{{place}}}"]
    return MAIN_TEMPLATE

def get_hbb_messages(meta, rate=0.5, prob_plain_text_prompt=0.5):
    if random.random() >= prob_plain_text_prompt:
        prompt_template = select_hbb_json_prompt_template(rate)
        messages = [{{"role": "user", "content": [image, {{"type": "text", "text": prompt_template.format(x=1)}}]}}]
    else:
        prompt_template = "seek the {{{place}}}"
        messages = [
            {{"role": "system", "content": "Upright boxes, please."}},
            {{"role": "user", "content": [image, {{"type": "text", "text": prompt_template.format(x=1)}}]}},
        ]
    return messages

def get_obb_messages(meta, rate=0.5, prob_plain_text_prompt=0.5):
    if random.random() > prob_plain_text_prompt:
        prompt_template = select_obb_json_prompt_template(rate)
        sys_prompt = "Turned boxes in JSON, please."
    else:
        prompt_template = "seek the {{{place}}}"
        sys_prompt = "Turned boxes, please."
    return [{{"role": "system", "content": sys_prompt}}]

def get_polygon_messages(meta, rate=0.5, prob_plain_text_prompt=0.5):
    if random.random() > prob_plain_text_prompt:
        log("corners")
        sys_prompt = "Corners in JSON, please."
        prompt_template = select_obb_json_prompt_template(rate)
    else:
        names = [1, 2]
        sys_prompt = "Corners, please."
        prompt_template = "seek the {{{place}}}"
    return [{{"role": "system", "content": sys_prompt}}]
"""
ZOOM = """
SYSTEM_PROMPT = '''There is a tool named image_zoom_in.'''

def get_messages(meta, disable_visual_cot=False):
    if 'question' in meta:
        question = meta['question']
    elif 'Text' in meta:
        choice_prompt = ' Choose:\\n'
        for choice in meta['Answer choices']:
            choice_prompt += choice
        question = (meta['Text'].rstrip('x') + choice_prompt + 'One letter.' + '\\nIt is:')
    else:
        raise ValueError("nothing to ask")
    return [
        {"role": "system", "content": SYSTEM_PROMPT},
        {"role": "user", "content": [image, {"type": "text", "text": f"{question}\\nLook closer."}]},
        {"role": "assistant", "content": CALL},
        {"role": "user", "content": [crop, {"type": "text", "text": "Here it is."}]},
    ]
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "clone/rscovlm/training/data"
    folder.mkdir(parents=True)
    ran = str(tmp_path / "ran")
    for name, place in (("dense_det_dataset.py", "categories"), ("refgeo_dataset.py", "prompt")):
        text = BOXES.format(place=place, trap="no_such_module_at_all", ran=ran)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "visual_cot_dataset.py").write_text(ZOOM, encoding="utf-8")
    return tmp_path / "clone"


def test_every_text_is_found_and_nothing_is_run(clone: Path) -> None:
    dialect: Any = Dialect.from_dict(read_reference(clone))
    assert not (clone.parent / "ran").exists()
    plain = dialect.ask("detect", classes="ship, tank")
    assert (plain.system, plain.user) == ("Corners, please.", "seek the ship, tank")
    upright = dialect.ask("detect", kind="hbb", style="json", classes="ship")
    assert (upright.system, upright.user) == (None, "Box: ship (JSON)")
    last = dialect.ask("detect", kind="hbb", style="json", classes="ship", pick=lambda count: count - 1)
    assert last.user == "all ship as JSON"
    turned = dialect.ask("ground", kind="obb", style="json", expression="red ship")
    assert (turned.system, turned.user) == ("Turned boxes in JSON, please.", "Turned: red ship (JSON)")
    assert dialect.ask("ground", expression="red ship").system == "Upright boxes, please."
    choices = dialect.ask("answer_choices", question="Which?", options="(A) a\n(B) b")
    assert choices.user == "Which? Choose:\n(A) a\n(B) b\nOne letter.\nIt is:"
    assert dialect.wording.zoom == {
        "system": "There is a tool named image_zoom_in.",
        "request": "\nLook closer.",
        "crop": "Here it is.",
    }
    assert Dialect.from_dict(dialect.to_dict()) == dialect


def test_the_chain_speaks_those_words(clone: Path) -> None:
    engine: Any = Scripted([call(10, 10, 90, 90), "a dome"])
    engine.dialect = Dialect.from_dict(read_reference(clone))
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (600, 800, 3), dtype=np.uint8))
    (result,) = rscovlm.answer(engine, image, ["What is it?"])
    assert result.answer == "a dome"
    assert [line for line in texts(engine.asked[-1][0]) if not line.startswith("assistant")] == [
        "system: There is a tool named image_zoom_in.",
        "user: <image>What is it?\nLook closer.",
        "user: <image>Here it is.",
    ]


def test_the_command_writes_a_file_that_can_be_asked_with(clone: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "rscovlm", "wording", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = run("read", str(clone), "--out", "mine.yaml")
    assert done.returncode == 0, done.stderr
    assert Dialect.load(tmp_path / "mine.yaml").ask("detect", classes="ship").user == "seek the ship"
    written = (tmp_path / "mine.yaml").read_bytes()
    again = run("read", str(clone), "--out", "mine.yaml")
    assert again.returncode == 2 and "exists already" in again.stderr and "Traceback" not in again.stderr
    assert (tmp_path / "mine.yaml").read_bytes() == written
    assert "seek the {classes}" in run("show", "mine.yaml").stdout


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("dense_det_dataset.py", None, "has no rscovlm/training/data/dense_det_dataset.py"),
        ("dense_det_dataset.py", "def f(:", "cannot be parsed"),
        ("refgeo_dataset.py", "x = 1", "has no function get_hbb_messages"),
        ("visual_cot_dataset.py", "def get_messages(m):\n    return []\n", "no text of multiple-choice questions"),
    ],
)
def test_another_structure_is_named(clone: Path, name: str, text: str | None, message: str) -> None:
    path = clone / "rscovlm/training/data" / name
    path.unlink()
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_reference(clone)
