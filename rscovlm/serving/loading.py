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
    processor: str | None = None,
    budget: str | None = None,
    probe: bool = True,
) -> Engine:
    """Return an engine.

    Args:
        model: Folder or Hub name of a checkpoint; the embedded model's when omitted. With ``endpoints``, the model's
            name at the servers.
        endpoints: Addresses of OpenAI-compatible servers; none loads the checkpoint into this process. Where they want a key,
            the environment variable ``RSCOVLM_API_KEY`` holds it.
        batch_size: Conversations answered at a time in this process.
        revision: Branch, tag or commit of a checkpoint on the Hub; with ``endpoints`` that of ``processor``.
        device: Where the model runs, such as ``"cuda:1"``; by default a GPU where there is one.
        dtype: ``"auto"`` for the checkpoint's own, ``"bfloat16"``, ``"float16"`` or ``"float32"``.
        max_pixels: Largest picture the model sees; the checkpoint's own by default, or that of the server.
        mode: How pictures are laid out in that budget; the checkpoint's own by default.
        dialect: How the model writes boxes and what it is asked: name of a preset, or YAML file; the checkpoint's own by
            default, or what the server publishes.
        wording: YAML file of a dialect of which only the words are taken (`rscovlm wording read` writes one).

        processor: Folder or Hub name of the checkpoint that the servers serve, which states its dialect and budget; for
            servers that do not publish them.
        budget: The servers' budget alone: least and largest pixels of a picture and, unless it is 28, the side of a visual
            token, such as ``"50176,1016064"``.
        probe: False does not check the servers' budget with pictures of known size.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: Servers are given without the model's name or with what only a model in this process has, an address is
            wrong, device or dtype are not known, or the checkpoint cannot be loaded safely and whole.
    """
    import rscovlm

    if endpoints:
        if not model:
            raise ValueError("--server needs --model, the name by which the server knows its model")
        if (revision and not processor) or device or dtype != "auto":
            raise ValueError("--revision, --device and --dtype are for a model in this process; set them at the server")
        return _server(endpoints, model, processor, revision, dialect, wording, budget, max_pixels, mode, probe)
    if processor or budget:
        raise ValueError("--processor and --budget say what a server's model is; give --server, or leave them out")
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}; choose one of {', '.join(DTYPES)}")
    loaded, own = rscovlm.load(
        model or "embedded", revision=revision, device=_device(device), dtype=dtype, dialect=dialect
    )
    own.budget = limited(own.budget, max_pixels, mode)
    own.dialect = worded(own.dialect, wording)
    return rscovlm.engines.Transformers(loaded, own, batch_size=batch_size)


def _server(
    endpoints: list[str],
    model: str,
    processor: str | None,
    revision: str | None,
    dialect: str | None,
    wording: str | None,
    budget: str | None,
    max_pixels: int | None,
    mode: Mode | None,
    probe: bool,
) -> Engine:
    """Return the client of servers, with what is stated of their model."""
    import rscovlm

    options: dict[str, Any] = {"api_key": os.environ.get("RSCOVLM_API_KEY"), "probe": probe}
    if processor:
        from rscovlm.loading import load_processor

        options["processor"] = load_processor(processor, revision=revision)
    if dialect is not None:
        options["dialect"] = Dialect.load(dialect)
    if budget is not None:
        options["budget"] = read_budget(budget)
    engine = rscovlm.engines.Server(endpoints, model, **options)
    if wording is None and max_pixels is None and mode is None:
        return engine
    # What is changed here is changed in what is stated or published.
    if max_pixels is not None or mode is not None:
        if not engine.budget_known:
            raise ValueError(
                "--max-pixels and --mode change the server's budget, which is not known; give --processor or --budget too"
            )
        options["budget"] = limited(engine.budget, max_pixels, mode)
    if wording is not None:
        options["dialect"] = worded(options.get("dialect") or engine.dialect, wording)
    return rscovlm.engines.Server(endpoints, model, **options)


def read_budget(text: str) -> PixelBudget:
    """Return the budget of an option: least and largest pixels of a picture and, unless it is 28, the side of a token.

    Raises:
        ValueError: It is none.

    >>> read_budget("50176,1016064").max_pixels, read_budget("65536,262144,32").factor
    (1016064, 32)
    """
    try:
        numbers = [int(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3):
        raise ValueError(
            f"--budget is {text!r}; give the least and the largest pixels of a picture, such as 50176,1016064, and the side of "
            "a visual token after them where it is not 28"
        )
    least, largest, factor = (*numbers, 28)[:3]
    return PixelBudget(least, largest, factor)


def worded(dialect: Dialect, wording: str | None) -> Dialect:
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


def limited(own: PixelBudget, max_pixels: int | None, mode: Mode | None = None) -> PixelBudget:
    """Return a budget with another largest picture or mode, where one is given."""
    most = own.max_pixels if max_pixels is None else max_pixels
    return replace(own, max_pixels=most, min_pixels=min(own.min_pixels, most), mode=mode or own.mode)
