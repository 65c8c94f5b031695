"""The Python of the guides runs as written, page by page, with an engine that answers at once."""

import importlib.util
import json
import re
import runpy
import shlex
import sys
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.data.storage import write_jsonl
from rscovlm.engines import Conversation
from rscovlm.geometry import Frame
from rscovlm.mixtures.recipe import MixtureRecipe
from rscovlm.processing.resolution import PixelBudget
from rscovlm.records.record import Annotation, ImageRef, Record
from rscovlm.scenes import make_zoom_scene, write_geotiff
from rscovlm.serving.refusals import RequestLimits
from rscovlm.serving.server import ZoomServer
from rscovlm.synthesis import SynthesisConfig
from rscovlm.training.recipe import TrainingRecipe
from tests.zoom.scripted import Scripted, call, texts

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# Run elsewhere, or not to be run here.
ELSEWHERE = {
    "agents.md": "it starts a server of tools, as tests/agents does with its program",
    "engines.md": "it wants servers and vLLM, which tests/engines starts",
    "sources.md": "it reads data sets that are not here",
    "real_tile.md": "it loads what its commands train, as tests/test_real_tile.py does",
}
BLOCK = re.compile(r"^```python\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
# Pages, and what they include.
TEXTS = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted((ROOT / "rscovlm").rglob("*.md"))]
PAGES = sorted(page.name for page in DOCS.glob("*.md") if BLOCK.search(page.read_text(encoding="utf-8")))


def say(conversation: Conversation, turn: int) -> str:
    """Box the first class, look at the middle once, then answer."""
    asked = texts(conversation)[-1]
    if "find the " in asked:
        return "2,2,12,14 plane\n"
    if "Which of these" in asked:
        return "airfield"
    return call(20, 20, 60, 60) if "Zoom in to" in asked else "two"


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ELSEWHERE])
def test_the_python_of_a_guide_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = make_zoom_scene(3, 336)
    frame = Frame(336, 336, root_to_world=(0.5, 0.0, 600_000.0, 0.0, -0.5, 5_300_000.0), crs="EPSG:32632")
    write_geotiff(tmp_path / "scene.tif", frame, lambda x1, y1, x2, y2: scene.image.crop((x1, y1, x2, y2)))
    image = ImageRef("scene.tif", width=336, height=336)
    ship = Annotation((1.0, 2.0, 9.0, 8.0), "ship", "hbb")
    found = Record("1", "mine", "train", "detection", (image,), objects=(ship,), categories=("ship",))
    write_jsonl([found], tmp_path / "data" / "train.jsonl")
    turns = [{"role": "user", "content": "Is it dry?"}, {"role": "assistant", "content": "yes"}]
    (tmp_path / "data" / "chats.jsonl").write_text(json.dumps({"messages": turns}), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    engine = Scripted(say, budget=PixelBudget(28 * 28, 112 * 112))
    text = (DOCS / page).read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    server = serving = None
    if "127.0.0.1:8000" in text:
        pytest.importorskip("openai", reason="openai is not installed")
        allowed = (
            tuple(re.findall(r"rscovlm serve .*--policy (\w+) --policy (\w+)", text)[0]) if page == "serve.md" else ()
        )
        server = ZoomServer(engine, port=0, limits=RequestLimits(policies=allowed))
        text = text.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        serving = Thread(target=server.serve_forever, daemon=True)
        serving.start()
    try:
        for number, code in enumerate(BLOCK.findall(text)):
            names["engine"] = engine  # a page may load one of its own at its top, which takes longer
            exec(compile(code, f"{page}, block {number + 1}", "exec"), names)  # noqa: S102  the pages are ours
    finally:
        if server is not None and serving is not None:
            server.shutdown()
            serving.join()
            server.server_close()
    for name in ("objects.geojson", "objects.html", "evidence.png", "evidence.html", "objects.png", "task1.zip"):
        assert (tmp_path / name).is_file() == (f'"{name}"' in "".join(BLOCK.findall(text))), name


FIRST = importlib.util.spec_from_file_location("first_blocks", ROOT / ".ci" / "first_blocks.py")
assert FIRST is not None and FIRST.loader is not None
FIRST.loader.exec_module(first := importlib.util.module_from_spec(FIRST))


@pytest.mark.parametrize("page", first.first_blocks())
def test_the_first_block_of_a_guide_needs_nothing(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `.ci/fresh` runs it in an environment of the README's install line."""
    monkeypatch.chdir(tmp_path)
    exec(compile(first.first_blocks()[page], page, "exec"), {})  # noqa: S102  the pages are ours


# Run by `.ci/fresh` alone: they install packages, start a server, or take a minute.
INSTALLING = {
    "agents.md",
    "deploy.md",
    "engines.md",
    "install.md",
    "learning.md",
    "notebooks.md",
    "scale.md",
    "serve.md",
}


@pytest.mark.parametrize("page", sorted(first.first_commands().keys() - INSTALLING))
def test_the_first_commands_of_a_guide_need_nothing(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `.ci/fresh` runs them, in one process."""
    monkeypatch.chdir(tmp_path)
    script = first.first_commands()[page]
    for title, text in re.findall(
        r"^cat > (\S+) <<'END OF FILE'\n(.*?)^END OF FILE\n", script, re.DOTALL | re.MULTILINE
    ):
        Path(title).write_text(text, encoding="utf-8")
    lines = commands(f"```\n{script}```\n")
    assert lines
    for program, *words in lines:
        if program == "python":
            monkeypatch.setattr(sys, "argv", words[1:])
            runpy.run_module(words[1], run_name="__main__")
            continue
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, f"{words}\n{done.output}\n{done.exception!r}"


def test_every_guide_with_code_is_run() -> None:
    """Pages of names and tables have none, or what the README shows."""
    run = first.first_blocks().keys() | first.first_commands().keys()
    code = {page.name for page in DOCS.glob("*.md") if "```" in page.read_text(encoding="utf-8")}
    assert code - run == set()
    assert {"training.md", "predict.md", "serve.md", "learning.md", "places.md"} <= first.first_commands().keys()


def test_no_line_of_code_is_cut_off_on_the_page() -> None:
    blocks = {
        page.name: re.findall(r"^```[^\n]*\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        for page in TEXTS
    }
    wide = {
        name: [line for block in found for line in block.splitlines() if len(line) > 90]
        for name, found in blocks.items()
    }
    assert {name: lines for name, lines in wide.items() if lines} == {}


def commands(text: str) -> list[list[str]]:
    """Return the words of every line of a code block that is a command, comments left out."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    inline = re.findall(r"`((?:rscovlm|python -m) [^`\n]+)`", text)
    return [shlex.split(line, comments=True) for line in (*lines, *inline) if re.match(r"rscovlm |python -m ", line)]


EXAMPLES = sorted(path for path in (ROOT / "examples").rglob("*") if path.suffix in (".py", ".yaml", ".sh"))


@pytest.mark.parametrize("page", [*TEXTS, *EXAMPLES], ids=lambda page: page.name)
def test_the_commands_of_a_page_are_there_with_their_options(page: Path) -> None:
    for _, *words in commands(page.read_text(encoding="utf-8")):
        if words[0] == "-m":
            if words[1].startswith(("rscovlm", "tests")):
                assert importlib.util.find_spec(words[1]), words
            continue
        command: Any = typer.main.get_command(app)
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        own = {name for option in command.params for name in option.opts}  # of the group itself, such as --version
        assert not hasattr(command, "commands") or set(words) <= own, words
        command.make_parser(typer.Context(command)).parse_args(words)


def test_what_is_left_out_is_there() -> None:
    assert set(ELSEWHERE) <= set(PAGES) and len(PAGES) - len(ELSEWHERE) >= 5


def test_the_settings_of_a_page_are_read() -> None:
    kinds: dict[str, Any] = {"mixture": TrainingRecipe, "subsets": MixtureRecipe, "templates": SynthesisConfig}
    read = []
    for page in TEXTS:
        for block in re.findall(
            r"^```yaml[^\n]*\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        ):
            content = yaml.safe_load(block)
            kind = next((kind for key, kind in kinds.items() if key in content), None)
            if kind is not None:
                read.append(kind.from_dict(content))
    assert {type(one) for one in read} == set(kinds.values())
