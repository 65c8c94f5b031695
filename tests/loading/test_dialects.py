"""A checkpoint is asked in the dialect that is given, and keeps it when it is saved."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import rscovlm
from rscovlm.codec.dialect import Dialect
from rscovlm.engines.engine import dialect_of
from rscovlm.serving.loading import load_engine
from rscovlm.tasks.detect import question

OWN = {
    "name": "mine",
    "codec": {"space": "pixels", "kind": "hbb", "style": "plain"},
    "wording": {"detect": {"system": "Be brief.", "user": "every {classes}"}, "ground": {"user": "the {expression}"}},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(OWN), encoding="utf-8")
    return path


def _asked(engine: Any) -> tuple[str | None, str]:
    asked = question(dialect_of(engine), ["storage-tank"])
    return asked.system, asked.user


def test_words_are_saved_with_the_processor(file: Path, tmp_path: Path) -> None:
    _, processor = rscovlm.load("embedded", dialect=file, device="cpu")
    assert processor.codec.kind == "hbb"
    processor.save_pretrained(tmp_path / "saved")
    again = rscovlm.RSCoVLMProcessor.from_pretrained(tmp_path / "saved")
    assert again.dialect == processor.dialect == Dialect.load(file)
    assert again.dialect.ask("detect", classes="ship").user == "every ship"
    again.codec = rscovlm.Codec.preset("qwen3-vl")
    assert again.dialect == Dialect.preset("qwen3-vl")


def test_a_preset_is_saved_by_its_name_alone(tmp_path: Path) -> None:
    _, processor = rscovlm.load("embedded", device="cpu")
    processor.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "processor_config.json").read_text(encoding="utf-8"))
    assert saved["codec"] == "rscovlm-v1" and not [key for key in saved if "dialect" in key]


def test_an_engine_asks_in_the_dialect_or_the_words_given(file: Path) -> None:
    assert _asked(load_engine(dialect=str(file))) == ("Be brief.", "every storage tank")
    worded: Any = load_engine(wording=str(file))
    assert _asked(worded) == ("Be brief.", "every storage tank")
    assert worded.codec == rscovlm.Codec.preset("rscovlm-v1")
    server: Any = load_engine("tiny", endpoints=["http://127.0.0.1:9/v1"], dialect="qwen3-vl", wording=str(file))
    assert _asked(server) == ("Be brief.", "every storage tank") and server.codec.space == "0-1000"
    with pytest.raises(ValueError, match="is no file and no preset"):
        load_engine(dialect="nobody")
