"""What is no engine is refused by name, before an image is read."""

from typing import Any

import pytest
from PIL import Image

import rscovlm
from rscovlm.engines import Reply
from tests.tasks.samples import CALLS, Scripted


class Half:
    """Has a codec, and neither a budget nor a way to answer."""

    codec = None


@pytest.mark.parametrize("how", ["boxes", "words"])
def test_counting_nothing_is_refused_before_the_model_is_asked(how: Any) -> None:
    engine = Scripted("rscovlm-v1", [Reply("3")])
    with pytest.raises(ValueError, match="a list of class names"):
        rscovlm.count(engine, Image.new("RGB", (200, 150)), [], how=how)
    assert not engine.asked


@pytest.mark.parametrize("call", CALLS)
def test_what_is_no_engine_is_refused_before_an_image_is_read(call: str) -> None:
    for engine, lacking in ((None, "codec, budget, generate"), (Half(), "budget, generate")):
        with pytest.raises(ValueError, match=f"engine is .* without {lacking}; give an object"):
            CALLS[call](engine, "no such image.tif", "no such image either.tif")
