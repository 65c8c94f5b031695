"""Every task is served through the one table, in the words that `predict` asks, and answers as it does."""

from typing import Any

import pytest
from PIL import Image

from rscovlm.codec.dialect import Dialect
from rscovlm.codec.wording import Wording
from rscovlm.serving.refusals import RequestLimits
from rscovlm.tasks.table import asked_tasks, task_named
from rscovlm.tasks.wanted import Wanted
from tests.serving.loopback import chat, served, uri, user
from tests.zoom.scripted import Scripted, texts

IMAGE = Image.new("RGB", (504, 448), "grey")
WANTED = Wanted(question="ship, plane", expressions=("ship, plane",), classes=("ship", "plane"), kind="hbb")


@pytest.mark.parametrize("task", [name for name in asked_tasks() if not task_named(name).converses])
def test_a_server_asks_what_predict_asks(task: str) -> None:
    from rscovlm.rasters import open_image

    here, there = (Scripted(lambda *_: "10,20,30,60 ship\n100,90,120,99 ship\n") for _ in range(2))
    images = task_named(task).images
    (row,) = task_named(task).rows(here, [open_image(IMAGE)] * images, [WANTED])
    with served(there) as server:
        status, reply = chat(
            server, user("ship, plane", *[uri(IMAGE)] * images), model=f"rscovlm:{task}", rscovlm={"kind": "hbb"}
        )
    assert status == 200, reply
    assert [texts(one) for one in there.asked[0]] == [texts(one) for one in here.asked[0]]
    for name in {"objects", "counts", "problems"} & set(row):
        assert reply["rscovlm"][name] == row[name]
    assert reply["choices"][0]["message"]["content"]


def test_a_count_is_a_line_a_class() -> None:
    with served(Scripted(lambda *_: "10,20,30,60 ship\n100,90,120,99 ship\n")) as server:
        _, reply = chat(server, user("ship, plane", uri(IMAGE)), model="rscovlm:count")
    assert reply["choices"][0]["message"]["content"] == "ship: 2\nplane: 0"


def test_what_is_tiled_is_bounded() -> None:
    with served(Scripted(lambda *_: "x"), limits=RequestLimits(tiles=3)) as server:
        for task in asked_tasks():
            image = uri(Image.new("RGB", (2100, 2100)))
            asked = user("ship", *[image] * task_named(task).images)
            status, _ = chat(server, asked, rscovlm={"task": task, "zoom": False})
            assert status == (413 if task_named(task).tiled else 200)


def test_the_words_of_a_dialect_are_asked() -> None:
    """Batches and counting stand between a request and its engine; neither forgets how the model is asked."""
    engine: Any = Scripted(lambda *_: "a roof")
    engine.dialect = Dialect.preset("rscovlm-v1").with_wording(Wording({"caption": {"user": "Was zeigt das Bild?"}}))
    with served(engine) as server:
        assert chat(server, user("", uri(IMAGE)), model="rscovlm:caption")[0] == 200
    assert texts(engine.asked[0][0]) == ["user: <image>Was zeigt das Bild?"]
