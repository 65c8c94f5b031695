"""Hypothesis strategies for grids of one root image."""

import math

from hypothesis import strategies as st

from rscovlm.geometry import Frame

sizes = st.integers(1, 5000)


@st.composite
def upright(draw: st.DrawFn) -> Frame:
    """A window of a 4000 x 3000 image, resized."""
    x1, y1 = draw(st.integers(0, 3900)), draw(st.integers(0, 2900))
    x2, y2 = draw(st.integers(x1 + 1, 4000)), draw(st.integers(y1 + 1, 3000))
    window = Frame(4000, 3000).cropped(x1, y1, x2, y2)
    return window.resized(draw(sizes), draw(sizes)) if draw(st.booleans()) else window


@st.composite
def turned(draw: st.DrawFn) -> Frame:
    """A grid that is turned, scaled by one factor, shifted and perhaps mirrored against the image."""
    angle, scale = draw(st.floats(-math.pi, math.pi)), draw(st.floats(0.1, 10))
    mirror = draw(st.sampled_from([1.0, -1.0]))
    a, d = scale * math.cos(angle), scale * math.sin(angle)
    shift = st.floats(-5000, 5000)
    return Frame(draw(sizes), draw(sizes), to_root=(a, -mirror * d, draw(shift), d, mirror * a, draw(shift)))
