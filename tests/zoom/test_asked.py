"""Many questions about shared images: each is opened once, whatever the order, and results stay small."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rscovlm.rasters import open_image
from rscovlm.zoom import ZoomChain
from tests.zoom.scripted import Scripted, call, texts


def _script(conversation: Any, turn: int) -> str:
    return call(10, 10, 200, 200) if turn == 0 else texts(conversation)[1].split("#")[1].split("\n")[0]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{k}.png" for k in range(20)]
    for k, path in enumerate(paths):
        Image.new("RGB", (300, 300), (k, k, k)).save(path)
    return paths


@pytest.mark.parametrize("as_path", [str, Path])
def test_an_image_is_opened_once_whatever_the_order(
    files: list[Path], as_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def counted(source: Any) -> Any:
        opened.append(str(source))
        return open_image(source)

    monkeypatch.setattr("rscovlm.zoom.asked.open_image", counted)
    pairs = [(as_path(files[n % 20]), f"#{n}\n") for n in range(100)]
    # An iterator is grouped as a list is.
    results = ZoomChain(Scripted(_script), in_flight=6).ask_many(iter(pairs))
    assert sorted(opened) == sorted(map(str, files))
    assert [result.answer for result in results] == [str(n) for n in range(100)]
    shades = [int(np.asarray(view.image).max()) for result in results for view in result.views]
    assert shades == [n % 20 for n in range(100) for _ in range(2)]


def test_results_come_as_they_are_done_without_pictures(files: list[Path]) -> None:
    chain = ZoomChain(Scripted(_script), in_flight=6)
    pairs = [(str(files[n % 20]), f"#{n}\n") for n in range(40)]
    numbered = chain.ask_iter(pairs)
    assert isinstance(numbered, Iterator)
    number, first = next(numbered)
    assert len(chain.engine.asked) == 2 and first.answer == str(number)  # type: ignore[attr-defined]
    rest = dict(numbered)
    assert sorted([number, *rest]) == list(range(40))
    kept = chain.ask_many(pairs)
    for n, result in rest.items():
        assert result.windows == kept[n].windows and result.visual_tokens == kept[n].visual_tokens
        assert all(view.picture is None for view in result.views)
        contents = [turn["content"] for turn in result.messages if not isinstance(turn["content"], str)]
        assert sum(block["type"] == "image" for content in contents for block in content) == 2
        assert all(block.get("image") is None for content in contents for block in content)
        with pytest.raises(ValueError, match="pictures=True"):
            result.draw()
    assert kept[0].draw().size


@pytest.mark.parametrize("images", [2, 3, 7])
def test_overviews_of_one_question_share_half_of_the_tokens(images: int) -> None:
    chain = ZoomChain(Scripted(_script), max_visual_tokens=3000)
    rasters = [open_image(Image.new("RGB", (3000, 1500), (k, k, k))) for k in range(images)]
    views = chain.overviews(rasters)
    assert [view.source for view in views] == list(range(images))
    tokens = [view.tokens for view in views]
    assert all(0.7 * 1500 / images < count <= 1500 // images for count in tokens)


def test_an_episode_of_ones_own_gives_what_the_chain_does(files: list[Path]) -> None:
    chain = ZoomChain(Scripted(_script))
    episode = chain.start(str(files[3]), "#3\n")
    while not episode.done:
        (reply,) = chain.engine.generate([episode.pending])
        episode.receive(reply)
    result, asked = episode.result(), chain.ask(str(files[3]), "#3\n")
    assert (result.answer, result.windows, result.visual_tokens) == (asked.answer, asked.windows, asked.visual_tokens)
    assert result.windows and (result.question, result.answer) == ("#3\n", "3")
    with pytest.raises(ValueError, match="has its answer already"):
        episode.receive(reply)


def test_a_generator_of_pictures_is_not_read_to_its_end() -> None:
    made = 0

    def pictures() -> Iterator[tuple[Image.Image, str]]:
        nonlocal made
        for n in range(30):
            made += 1
            yield Image.new("RGB", (300, 300)), f"#{n}\n"

    numbered = ZoomChain(Scripted(_script), in_flight=4).ask_iter(pictures())
    next(numbered)
    assert made <= 9
    assert len(dict(numbered)) == 29


def test_pictures_in_a_list_are_grouped_too() -> None:
    images = [Image.new("RGB", (300, 300), (k, k, k)) for k in range(20)]
    engine = Scripted(_script)
    ZoomChain(engine, in_flight=2).ask_many([(images[n % 20], f"#{n}\n") for n in range(40)])
    for stage in engine.asked:
        first, second = (one.images()[0] for one in stage)
        assert first is second
