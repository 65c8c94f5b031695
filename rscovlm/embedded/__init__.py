"""The model that ships with the package: a Qwen2.5-VL checkpoint of a million parameters, see its README.md."""

from __future__ import annotations

from pathlib import Path


def embedded_model() -> str:
    """Return the folder of the embedded checkpoint, for ``from_pretrained``.

    Examples:
        >>> from pathlib import Path
        >>> Path(embedded_model()).name
        'embedded'
    """
    return str(Path(__file__).parent)
