"""Models go to a Hub and come back, over real sockets through the real client, whatever goes wrong between."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from rscovlm.benchmarks.report import to_model_index
from rscovlm.benchmarks.scores import BenchmarkFigure, SuiteScore
from rscovlm.benchmarks.suite import load_suite
from rscovlm.cli import app
from rscovlm.hub import pull, push_model, transfers
from rscovlm.hub.downloads import PULL_FILE
from rscovlm.hub.model_card import FACTS_FILE
from tests.hub.loopback import Hub, HubFault, reach, serving

pytest.importorskip("torch")
TOKEN = "hf_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH"
REPO = "me/planes"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub whose weights go the way of Git LFS, with waits between tries cut short."""
    with serving() as found:
        found.token = TOKEN
        reach(found, monkeypatch)
        monkeypatch.setattr(transfers, "SILENCE", 2.0)
        yield found


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A checkpoint with what a run writes about itself, and with files that are nobody's business."""
    from rscovlm.testing import tiny_checkpoint
    from rscovlm.training.run_card import write_card

    folder = tmp_path / "run"
    tiny_checkpoint(folder, "qwen3_vl")
    subsets = [{"name": "a", "records": "/data/a.jsonl", "weight": 3.0}, {"name": "b", "records": "b", "weight": 1.0}]
    recipe = {"model": "Qwen/Qwen3-VL-4B", "steps": 7, "train": {"hub_token": TOKEN, "seed": 3}}
    about = {
        "base_revision": "0123abc",
        "hardware": "2 x NVIDIA H100",
        "settings": {"seed": 3},
        "versions": {"torch": "2.13"},
        "sources": {"a": {"dota-v1.0": "academic use only"}},
    }
    history = [{"step": 7, "eval_ap_nc": 0.5}]
    write_card(
        folder,
        base="Qwen/Qwen3-VL-4B",
        adapter=False,
        steps=7,
        samples=28,
        history=history,
        recipe={**recipe, "mixture": {"subsets": subsets}},
        about=about,
    )
    (folder / "training_args.bin").write_bytes(TOKEN.encode())
    (folder / "optimizer.pt").write_bytes(b"pickle")
    (folder / "checkpoint-5").mkdir()
    return folder


def _push(run: Path, **options: Any) -> Any:
    return push_model(run, REPO, token=TOKEN, **options)


def _pull(folder: Path, **options: Any) -> Path:
    return pull(REPO, folder, token=TOKEN, **options)


def test_a_model_goes_and_comes_back_whole(hub: Hub, run: Path, tmp_path: Path) -> None:
    upload = _push(run, licence="apache-2.0")
    assert upload.address.startswith(f"{hub.address}/{REPO}/commit/")
    assert hub.created[0]["visibility"] == "private"
    files = hub.files[REPO]
    assert {"model.safetensors", "config.json", "chat_template.jinja", "recipe.yaml", "mixture.yaml"} <= set(files)
    assert not [name for name in files if name.endswith((".bin", ".pt")) or "checkpoint-5" in name]
    assert TOKEN.encode() not in b"".join(files.values()) and b"/data/" not in files["recipe.yaml"]
    back = _pull(tmp_path / "back")
    assert {path.name for path in back.iterdir()} == {*files, ".rscovlm", PULL_FILE}
    assert all((back / name).read_bytes() == data for name, data in files.items())
    assert json.loads((back / PULL_FILE).read_text())["commit"] == hub.commit(REPO)
    assert not (tmp_path / ".back.part").exists()
    from rscovlm.loading import load

    assert load(back, device="cpu").processor.codec.name == load(run, device="cpu").processor.codec.name


def test_the_card_tells_what_really_ran(hub: Hub, run: Path, tmp_path: Path) -> None:
    index = {"task": {"type": "image-text-to-text"}, "dataset": {"name": "HRSC2016", "type": "hrsc2016"}}
    index["metrics"] = [{"type": "ap_nc", "name": "AP", "value": 41.5, "args": {"protocol": "ap_nc|v1"}}]  # type: ignore[assignment]
    folder = tmp_path / "scores"
    folder.mkdir()
    text = yaml.safe_dump({"model-index": [{"name": "planes", "results": [index]}]})
    (folder / "model-index.yaml").write_text(f"# urn:rscovlm:evaluation\n{text}")
    card = _push(run, licence="apache-2.0", evaluations=[folder], dry_run=True).card
    assert REPO not in hub.files
    head = yaml.safe_load(card.split("---")[1])
    assert head["base_model"] == "Qwen/Qwen3-VL-4B" and head["license"] == "apache-2.0"
    shown = {metric["type"]: metric for one in head["model-index"][0]["results"] for metric in one["metrics"]}
    assert shown["ap_nc"]["args"]["protocol"] in ("ap_nc|v1", "the run's fixed set after step 7")
    assert len(head["model-index"][0]["results"]) == 2
    for part in ("0123abc", "2 x NVIDIA H100", "28 samples", "75.0 %", "academic use only", "ap_nc|v1", "vllm serve"):
        assert part in card, part
    assert f"rscovlm eval --suite hrsc2016 --model {REPO} --data DATA --out RUN" in card
    assert f'from_pretrained("{REPO}")' in card
    from huggingface_hub import ModelCard

    assert ModelCard(card).data.eval_results[0].metric_value == 41.5


def test_the_commands_of_a_card_are_taken_by_the_command_line(run: Path, tmp_path: Path) -> None:
    figures = (BenchmarkFigure("Avg.", "lrs_vqa", 0.4, 9),)
    scores = [SuiteScore("lrs-vqa", "LRS-VQA", variant, "", "m", {}, figures, {}) for variant in ("direct", "zoom")]
    scores.append(SuiteScore("vrsbench-vqa", "VRSBench", "", "", "m", {}, figures, {}))
    (tmp_path / "model-index.yaml").write_text(to_model_index(scores))
    card = _push(run, evaluations=[tmp_path], dry_run=True).card
    lines = [line.split() for line in card.splitlines() if line.startswith("rscovlm eval")]
    evaluate: Any = get_command(app).commands["eval"]  # type: ignore[attr-defined]
    taken = [evaluate.make_context("eval", line[2:]).params for line in lines]
    assert [(one["suite"], list(one["variant"] or ())) for one in taken] == [
        (["lrs-vqa"], ["direct"]),
        (["lrs-vqa"], ["zoom"]),
        (["vrsbench-vqa"], []),
    ]
    for one in taken:
        assert one["model"] == REPO
        load_suite(one["suite"][0]).asked((*(one["variant"] or ()), "")[0])


def test_a_later_push_leaves_nothing_of_the_one_before(hub: Hub, run: Path) -> None:
    _push(run)
    adapter = {
        "adapter_config.json": b"{}",
        "adapter_model.safetensors": b"x",
        "model-00001-of-00002.safetensors": b"x",
    }
    hub.files[REPO] |= {**adapter, "picture.png": b"x", "model.safetensors.index.json": b"{}"}
    _push(run)
    assert "picture.png" in hub.files[REPO]
    assert not {*adapter, "model.safetensors.index.json"} & set(hub.files[REPO])


def test_a_file_with_a_token_is_not_pushed(hub: Hub, run: Path) -> None:
    config = json.loads((run / "generation_config.json").read_text())
    (run / "generation_config.json").write_text(json.dumps({**config, "note": TOKEN}))
    with pytest.raises(ValueError, match=r"generation_config\.json holds an access token") as caught:
        _push(run)
    assert TOKEN not in str(caught.value) and not hub.files and not hub.visits


def test_an_adapter_names_a_base_that_others_have(hub: Hub, run: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    from rscovlm.testing.adapters import tiny_adapter

    adapter = tiny_adapter(tmp_path / "adapter", run)
    with pytest.raises(ValueError, match="give its name there") as caught:
        _push(adapter)
    assert str(tmp_path) not in str(caught.value)
    _push(adapter, base="me/base")
    files = hub.files[REPO]
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == "me/base"
    head = yaml.safe_load(files["README.md"].decode().split("---")[1])
    assert head["library_name"] == "peft" and head["base_model"] == "me/base"
    assert str(tmp_path).encode() not in b"".join(files.values())


UPLOADS = [
    ("POST /api/repos/create", "503", 9),
    ("GET /api/models/me/planes", "503", 9),
    ("POST .*preupload", "503", 9),
    ("POST .*objects/batch", "503", 9),
    ("POST .*objects/batch", "cut", 9),
    ("PUT /lfs", "503", 9),
    ("PUT /lfs", "cut", 9),
    ("PUT /lfs", "422", 9),
    ("POST /lfs/.*verify", "404", 1),
    ("POST .*commit/main", "503", 9),
    ("POST .*commit/main", "cut", 9),
    ("POST .*commit/main", "412", 1),
    ("POST .*commit/main", "403", 1),
    ("PUT /lfs", "cut", 1),
    ("PUT /lfs", "503", 2),
    ("PUT /lfs", "stall", 1),
    ("PUT /lfs", "429", 1),
    ("GET /api/models/me/planes", "stall", 9),
    ("GET /api/models/me/planes", "half", 9),
    ("GET /api/models/me/planes", "loop", 99),
    ("POST .*objects/batch", "half", 9),
    ("POST .*commit/main", "stall", 9),
    ("POST .*commit/main", "429", 9),
    ("POST .*commit/main", "half", 1),
    ("POST .*commit/main", "lost", 1),
]
DONE = ("half", "lost")
"""Faults after which the commit may be there, whole: the Hub did it, and its answer did not arrive."""
DOWNLOADS = [
    ("GET /api/models/me/planes$", "503", 9),
    ("GET /api/models/me/planes/tree", "503", 9),
    ("GET .*resolve.*safetensors", "503", 9),
    ("GET .*resolve.*safetensors", "cut", 1),
    ("GET .*resolve.*safetensors", "cut", 99),
    ("GET .*resolve.*safetensors", "flip", 1),
    ("GET .*resolve.*json", "flip", 1),
    ("GET .*resolve.*safetensors", "slow", 1),
    ("HEAD .*resolve.*safetensors", "503", 9),
    ("GET .*resolve.*config.json", "403", 1),
    ("GET /api/models/me/planes$", "stall", 9),
    ("GET /api/models/me/planes/tree", "half", 9),
    ("GET /api/models/me/planes/tree", "429", 9),
    ("GET .*resolve.*safetensors", "loop", 99),
]


@pytest.mark.parametrize("fault", UPLOADS, ids=lambda fault: " ".join(map(str, fault)))
def test_a_push_that_fails_changes_nothing_and_is_finished_by_the_next(
    fault: tuple[str, str, int], hub: Hub, run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    _push(run)
    before = dict(hub.files[REPO])
    weights = (run / "model.safetensors").read_bytes()
    hub.store.clear()
    _change_weights(run)
    hub.faults = [HubFault(*fault)]
    try:
        _push(run)
    except (ConnectionError, PermissionError, FileNotFoundError) as error:
        assert hub.files[REPO] == before or (
            fault[1] in DONE and hub.files[REPO]["model.safetensors"] == (run / "model.safetensors").read_bytes()
        )
        assert REPO in str(error) and TOKEN not in str(error) and error.__cause__ is None, error
        assert "\n" not in str(error)
    hub.faults.clear()
    _push(run)
    assert hub.files[REPO]["model.safetensors"] == (run / "model.safetensors").read_bytes() != weights
    assert len(hub.commits) == 2, "what was committed is not committed twice"
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("fault", DOWNLOADS, ids=lambda fault: " ".join(map(str, fault)))
def test_a_pull_is_whole_or_not_there(
    fault: tuple[str, str, int], hub: Hub, run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    _push(run)
    hub.faults = [HubFault(*fault)]
    back = tmp_path / "back"
    try:
        _pull(back)
    except (ConnectionError, PermissionError, FileNotFoundError, ValueError) as error:
        assert not back.exists()
        assert REPO in str(error) and TOKEN not in str(error), error
    else:
        assert fault[1] in ("cut", "slow", "429")  # what the client itself gets over
    hub.faults.clear()
    if not back.exists():
        _pull(back)
    assert all((back / name).read_bytes() == data for name, data in hub.files[REPO].items())
    assert TOKEN not in caplog.text and TOKEN.encode() not in b"".join(
        path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "training_args.bin"
    )


def test_a_pull_is_of_one_commit_and_runs_no_code(hub: Hub, run: Path, tmp_path: Path) -> None:
    _push(run)
    first = hub.commit(REPO)
    hub.files[REPO] = {**hub.files[REPO], "modeling_x.py": b"raise SystemExit", "model.bin": b"x", "README.md": b"new"}
    hub.commit(REPO)
    back = _pull(tmp_path / "new")
    assert (back / "README.md").read_bytes() == b"new"
    assert not (back / "modeling_x.py").exists() and not (back / "model.bin").exists()
    old = _pull(tmp_path / "old", revision=first)
    assert (old / "README.md").read_bytes() != b"new"
    assert not [visit for visit in hub.visits if visit.startswith("GET") and ".py" in visit]
    with pytest.raises(FileNotFoundError, match="no such revision"):
        _pull(tmp_path / "none", revision="absent")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"../evil.json": b"{}"}, "leaves the folder"),
        ({"config.json": b'{"model_type": "unknown-kind"}'}, "model_type"),
        ({"model.safetensors": b"garbage"}, "safetensors"),
        ({"big.json": b"{}" * 2**20}, "max-bytes"),
    ],
)
def test_a_hostile_repository_is_refused(files: dict[str, bytes], words: str, hub: Hub, tmp_path: Path) -> None:
    hub.files[REPO] = {"config.json": b'{"model_type": "qwen3_vl"}', **files}
    with pytest.raises(ValueError, match=words):
        _pull(tmp_path / "back", max_bytes=2**20)
    assert not (tmp_path / "back").exists() and not (tmp_path.parent / "evil.json").exists()


def test_a_folder_of_others_is_left_alone(hub: Hub, run: Path, tmp_path: Path) -> None:
    _push(run)
    mine = tmp_path / ".back.part" / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(ValueError, match="was not made by rscovlm for pull"):
        _pull(tmp_path / "back")
    assert mine.read_text() == "mine" and not (tmp_path / "back").exists()


def test_the_commands_do_the_same(hub: Hub, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    dry = CliRunner().invoke(app, ["push", "model", str(run), REPO, "--dry-run"])
    assert dry.exit_code == 0 and "model.safetensors" in dry.output and "nothing was sent" in dry.output, dry.output
    assert "training_args.bin: no part" in dry.output and "How to load it" in dry.output and not hub.files
    assert TOKEN not in dry.output
    done = CliRunner().invoke(app, ["push", "model", str(run), REPO])
    assert done.exit_code == 0 and f"pushed: {hub.address}/{REPO}/commit/" in done.output, done.output
    back = CliRunner().invoke(app, ["pull", REPO, str(tmp_path / "back")])
    assert back.exit_code == 0 and hub.commit(REPO) in back.output, back.output
    again = CliRunner().invoke(app, ["pull", REPO, str(tmp_path / "back")])
    assert again.exit_code == 2 and "holds files" in again.output
    absent = CliRunner().invoke(app, ["pull", "me/absent", str(tmp_path / "none")])
    assert absent.exit_code == 2 and "me/absent is not there" in absent.output, absent.output
    for words in (["pull", "./nope", str(tmp_path / "none")], ["push", "model", str(run), "./nope"]):
        wrong = CliRunner().invoke(app, words)
        assert wrong.exit_code == 2 and "'./nope' is no repository of the Hub" in wrong.output, wrong.output
    shutil.rmtree(tmp_path / "back")
    hub.faults = [HubFault("GET .*resolve", "503", 99)]
    failed = CliRunner().invoke(app, ["pull", REPO, str(tmp_path / "back")])
    assert failed.exit_code == 2 and "do the same again" in failed.output and TOKEN not in failed.output
    assert json.loads(hub.files[REPO][FACTS_FILE])["samples"] == 28


def _change_weights(run: Path) -> None:
    """Change the weights, so that there is something new to push."""
    from safetensors.torch import load_file, save_file

    weights = {name: tensor + 1 for name, tensor in load_file(run / "model.safetensors").items()}
    save_file(weights, run / "model.safetensors", metadata={"format": "pt"})


def test_names_of_a_run_cannot_break_its_card(run: Path) -> None:
    odd = "a|b`c`\n---\nlicense: mit\n<script>x</script> \u202e"
    facts = json.loads((run / FACTS_FILE).read_text())
    facts |= {"hardware": odd, "base": odd, "results": [[7, odd, 0.5], [7, "ap", float("nan")]]}
    facts["recipe"]["train"]["run_name"] = f"{odd}\n```"
    facts["recipe"]["root"] = "C:\\Users\\me\\data"
    facts["subsets"][0]["name"] = odd
    (run / FACTS_FILE).write_text(json.dumps(facts))
    card = _push(run, licence="apache-2.0", dry_run=True).card
    head, text = card.split("---\n", 2)[1:]
    assert yaml.safe_load(head)["license"] == "apache-2.0" and "base_model" not in yaml.safe_load(head)
    values = [one["value"] for one in yaml.safe_load(head)["model-index"][0]["results"][0]["metrics"]]
    assert values == [0.5], "no figure that is no number"
    (row,) = [line for line in text.splitlines() if line.startswith("| a") and "28" not in line and "%" in line]
    assert len(re.split(r"(?<!\\)\|", row)) == 6, "four cells"
    assert "\u202e" not in card and "Users" not in card
    outside = re.sub(r"^````yaml\n.*?^````$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "<script>" not in outside.replace("\\<", "") and "license: mit\n" not in outside
