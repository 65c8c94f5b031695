"""A picture inside an address, for pages and requests that hold all they show."""

from __future__ import annotations

import base64
import io
from typing import Any, Literal

from PIL import Image


def data_url(picture: Image.Image, form: Literal["PNG", "JPEG", "WEBP"] = "PNG", **options: Any) -> str:
    """Return a picture as a data URL (RFC 2397).

    Args:
        picture: Of a mode that the form can hold.
        form: How to store it.
        options: Pillow's for that form, such as ``quality``.

    Example:
        >>> data_url(Image.new("RGB", (1, 1)))[:30]
        'data:image/png;base64,iVBORw0K'
    """
    memory = io.BytesIO()
    picture.save(memory, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(memory.getvalue()).decode()}"
