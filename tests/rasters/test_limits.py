"""Which bound holds for which file, and that it holds at exactly the pixel that it names."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rscovlm.rasters import PixelLimits, RasterError, open_image

SIDE = (40, 30)


def _stored(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", SIDE).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "bound", "other"),
    [
        ("jpeg", "sequential", "in_memory"),
        *((kind, "in_memory", "sequential") for kind in ("png", "bmp", "webp", "gif")),
    ],
)
def test_a_picture_that_pillow_reads_is_bounded_by_how_it_is_decoded(kind: str, bound: str, other: str) -> None:
    """JPEG is decoded in pieces, all else whole; the other bound does not count for it."""
    data, pixels = _stored(kind), SIDE[0] * SIDE[1]
    options: dict[str, Any] = {bound: pixels, other: 10**9 if bound == "in_memory" else 10**6}
    assert open_image(data, backend="plain", limits=PixelLimits(**options)).width == SIDE[0]
    with pytest.raises(RasterError, match=rf"40x30 .*{bound}="):
        open_image(data, backend="plain", limits=PixelLimits(**options | {bound: pixels - 1}))


@pytest.mark.parametrize("name", ["in_memory", "sequential", "streamed", "small", "block"])
def test_a_bound_is_a_positive_number_of_pixels(name: str) -> None:
    assert getattr(PixelLimits(**{name: 1}), name) == 1
    with pytest.raises(ValueError, match=rf"PixelLimits\({name}=0\) must be a positive number"):
        PixelLimits(**{name: 0})


@pytest.mark.parametrize(("size", "placed"), [(4096, True), (4097, False)])
@pytest.mark.parametrize("name", ["a.pgw", "a.pngw", "a.wld", "a.PGW"])
def test_a_world_file_is_a_short_text_beside_the_picture(tmp_path: Path, name: str, size: int, placed: bool) -> None:
    """Six numbers; what is longer than a page of memory is something else."""
    (tmp_path / "a.png").write_bytes(_stored("png"))
    (tmp_path / name).write_text("0.5\n0\n0\n-0.25\n1000\n2000\n".ljust(size, "\n"))
    place = open_image(tmp_path / "a.png").frame.root_to_world
    # A world file gives the middle of the first pixel.
    assert place == (pytest.approx((0.5, 0, 999.75, 0, -0.25, 2000.125)) if placed else None)
