"""An engine from what a command line says."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rscovlm.codec.dialect import Dialect
from rscovlm.processing.resolution import Mode, PixelBudget

if TYPE_CHECKING:
    from rscovlm.engines import Engine


DTYPES = ("auto", "bfloat16", "float16", "float32")


def load_engine(
    model: str | None = None,
    *,
    endpoints: list[str] | None = None,
    batch_size: int = 8,
    revision: str | None = None,
    device: str | None = None,
    dtype: str = "auto",
    max_pixels: int | None = None,
    mode: Mode | None = None,
    dialect: str | None = None,
    wording: str | None = None,
) -> Engine:
    """Return an engine.

    Args:
        model: Folder or Hub name of a checkpoint; the embedded model's when omitted. With ``endpoints``, the model's
            name at the servers.
        endpoints: Addresses of OpenAI-compatible servers; none loads the checkpoint into this process. Where they want a key,
            the environment variable ``RSCOVLM_API_KEY`` holds it.
        batch_size: Conversations answered at a time in this process.
        revision: Branch, tag or commit of a checkpoint on the Hub.
        device: Where the model runs, such as ``"cuda:1"``; by default a GPU where there is one.
        dtype: ``"auto"`` for the checkpoint's own, ``"bfloat16"``, ``"float16"`` or ``"float32"``.
        max_pixels: Largest picture the model sees; the checkpoint's own by default.
        mode: How pictures are laid out in that budget; the checkpoint's own by default.
        dialect: How the model writes boxes and what it is asked: name of a preset, or YAML file; the checkpoint's own by
            default, ``rscovlm-v1`` of a server.
        wording: YAML file of a dialect of which only the words are taken (`rscovlm wording read` writes one).

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: Servers are given without the model's name or with what only a model in this process has, an address is
            wrong, device or dtype are not known, or the checkpoint cannot be loaded safely and whole.
    """
    import rscovlm

    if endpoints:
        if not model:
            raise ValueError("--server needs --model, the name by which the server knows its model")
        if revision or device or dtype != "auto":
            raise ValueError("--revision, --device and --dtype are for a model in this process; set them at the server")
        budget = _budget(PixelBudget(), max_pixels, mode)
        return rscovlm.engines.Server(
            endpoints,
            model,
            dialect=_worded(Dialect.load(dialect or "rscovlm-v1"), wording),
            api_key=os.environ.get("RSCOVLM_API_KEY"),
            budget=budget,
        )
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}; choose one of {', '.join(DTYPES)}")
    loaded, processor = rscovlm.load(
        model or "embedded", revision=revision, device=_device(device), dtype=dtype, dialect=dialect
    )
    processor.budget = _budget(processor.budget, max_pixels, mode)
    processor.dialect = _worded(processor.dialect, wording)
    return rscovlm.engines.Transformers(loaded, processor, batch_size=batch_size)


def _worded(dialect: Dialect, wording: str | None) -> Dialect:
    """Return a dialect with the words of another."""
    return dialect if wording is None else dialect.with_wording(Dialect.load(wording).wording)


def _device(name: str | None) -> Any:
    """Return the device of that name, which must be there."""
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(name)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        # torch refuses devices by all of these: an AssertionError where it was built without CUDA.
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device is {name!r}, which this machine cannot use ({reason}); leave it out for cpu"
        ) from error
    return found


def _budget(own: PixelBudget, max_pixels: int | None, mode: Mode | None) -> PixelBudget:
    most = own.max_pixels if max_pixels is None else max_pixels
    return replace(own, max_pixels=most, min_pixels=min(own.min_pixels, most), mode=mode or own.mode)
