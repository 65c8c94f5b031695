"""Packages that the core does without: which extra brings one that is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

EXTRAS = {
    "accelerate": "train",
    "bitsandbytes": "qlora",
    "datasets": "train",
    "deepspeed": "deepspeed",
    "evaluate": "eval",
    "geopandas": "interchange",
    "gradio": "spaces",
    "liger_kernel": "liger",
    "mcp": "mcp",
    "peft": "train",
    "prometheus_client": "serve",
    "pyarrow": "geo",
    "rasterio": "geo",
    "sahi": "interchange",
    "starlette": "serve",
    "supervision": "interchange",
    "torch": "torch",
    "torchvision": "sam",
    "trl": "train",
    "uvicorn": "serve",
    "vllm": "vllm",
}
"""Package -> the smallest extra that brings it."""


def require(*packages: str, extra: str) -> None:
    """See that optional packages are installed, before any work that needs them at its end.

    Args:
        packages: Names to import.
        extra: The extra that brings them.

    Raises:
        ModuleNotFoundError: One is missing.

    >>> require("numpy", extra="demo")
    """
    for package in packages:
        if find_spec(package) is None:
            raise ModuleNotFoundError(f'{package} is not installed: pip install "rscovlm[{extra}]"', name=package)


@contextmanager
def optional(extra: str | None = None) -> Iterator[None]:
    """Import optional packages; where one is missing, the error names the extra to install.

    Args:
        extra: The extra to name where what follows needs more than the missing package.

    Raises:
        ModuleNotFoundError: A package is missing.

    >>> with optional():
    ...     raise ModuleNotFoundError("No module named 'trl'", name="trl")
    Traceback (most recent call last):
    ModuleNotFoundError: trl is not installed: pip install "rscovlm[train]"
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        wanted = extra or EXTRAS[package]
        raise ModuleNotFoundError(
            f'{package} is not installed: pip install "rscovlm[{wanted}]"', name=package
        ) from None
