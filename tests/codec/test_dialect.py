"""A dialect's file states codec and wording, and what it gets wrong is named."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

import rscovlm
from rscovlm.codec.dialect import Dialect, presets

FORM = {"detect": {"user": "list {classes}"}, "ground": {"user": "point at {expression}"}}


def _file(folder: Path, content: Any) -> Path:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", presets())
def test_a_preset_is_the_same_after_being_saved(name: str) -> None:
    dialect = Dialect.preset(name)
    assert Dialect.from_dict(dialect.to_dict()) == dialect
    assert dialect.name == dialect.codec.name == name


def test_every_kind_and_style_has_its_own_system_text() -> None:
    pairs = itertools.product(["hbb", "obb", "quad"], ["plain", "json"])
    dialect: Any = Dialect.preset("rscovlm-v1")
    texts = {dialect.ask("detect", kind=kind, style=style, classes="ship").system for kind, style in pairs}
    assert len(texts) == 6
    assert "x1,y1,x2,y2,x3,y3,x4,y4 object" in dialect.ask("detect", classes="ship").system


def test_a_users_file_is_read_and_inherits_what_it_leaves_out(tmp_path: Path) -> None:
    own = {"name": "mine", "codec": {"space": "0-1000", "kind": "hbb", "style": "json"}, "wording": FORM}
    dialect = Dialect.load(_file(tmp_path, own))
    assert dialect.codec.space == "0-1000"
    assert dialect.ask("detect", classes="ship, plane").user == "list ship, plane"
    assert dialect.ask("ground", expression="red {classes} hall").user == "point at red {classes} hall"
    assert dialect.ask("caption") == Dialect.preset("rscovlm-v1").ask("caption")
    assert dialect.form("ground") == ("hbb", "json")
    assert Dialect.load("qwen3-vl") is Dialect.preset("qwen3-vl")


def test_the_ground_sample_distance_is_told_only_where_the_dialect_has_words_for_it() -> None:
    silent = Dialect.preset("rscovlm-v1")
    assert silent.ask("caption", gsd=0.5) == silent.ask("caption")
    telling = Dialect.from_dict({"name": "mine", "wording": {**FORM, "gsd": "One pixel is {gsd} m."}})
    assert telling.ask("caption", gsd=0.123456).user.endswith("\nOne pixel is 0.1235 m.")
    assert telling.ask("caption").user == silent.ask("caption").user


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"wording": {}}, "a dialect has the name None"),
        ({"name": "mine", "codecs": {}}, "unknown key 'codecs'; did you mean 'codec'"),
        ({"name": "mine", "codec": {"spaces": "pixels"}}, "spaces"),
        ({"name": "mine", "wording": {"detekt": {"user": "find {classes}"}}}, "unknown task 'detekt'.*'detect'"),
        ({"name": "mine", "wording": {"detect": {"user": "find {what}"}}}, "'find {what}'; it needs {classes}"),
        ({"name": "mine", "wording": {"detect": {"user": "find them"}}}, "it needs {classes}"),
        ({"name": "mine", "wording": {"detect": {"system": "Look."}}}, "no user text"),
        ({"name": "mine", "wording": {"detect": {"user": {"xml": "find {classes}"}}}}, "'xml'"),
        ({"name": "mine", "wording": {"detect": {"user": "find {classes}", "kind": "circle"}}}, "'circle'"),
        ({"name": "mine", "wording": {"gsd": "Pixels are small."}}, "give it a place {gsd}"),
        ({"name": "mine", "inherits": "nobody"}, "dialect is 'nobody'"),
        (["mine"], "give name, codec and wording"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_the_file(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"mine.yaml: .*{message}"):
        Dialect.load(_file(tmp_path, content))


def test_names_that_are_neither_file_nor_preset_are_refused() -> None:
    with pytest.raises(ValueError, match="'qwen3-v' is no file and no preset; did you mean 'qwen3-vl'"):
        Dialect.load("qwen3-v")
    with pytest.raises(ValueError, match="no words for 'detect' with kind 'circle'"):
        Dialect.preset("qwen3-vl").ask("detect", kind="circle", style="json", classes="x")  # type: ignore[arg-type]


@pytest.mark.parametrize("read", [Dialect.load, rscovlm.Codec.preset])
def test_a_file_that_stands_for_billions_of_values_is_refused(tmp_path: Path, read: Any) -> None:
    lines = ["name: mine", "codec: {space: pixels}", "a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 12)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ValueError, match="bomb.yaml.* stands for more than"):
        read(str(path))
