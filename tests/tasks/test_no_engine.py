"""What is no engine is refused by name, before an image is read."""

import pytest

from tests.tasks.samples import CALLS


class Half:
    """Has a codec, and neither a budget nor a way to answer."""

    codec = None


@pytest.mark.parametrize("call", CALLS)
def test_what_is_no_engine_is_refused_before_an_image_is_read(call: str) -> None:
    for engine, lacking in ((None, "codec, budget, generate"), (Half(), "budget, generate")):
        with pytest.raises(ValueError, match=f"engine is .* without {lacking}; give an object"):
            CALLS[call](engine, "no such image.tif", "no such image either.tif")
