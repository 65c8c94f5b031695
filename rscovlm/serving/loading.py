"""An engine from what a command line says."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rscovlm.engines import Engine


def load_engine(
    model: str | None = None,
    *,
    endpoints: list[str] | None = None,
    batch_size: int = 8,
) -> Engine:
    """Return an engine.

    Args:
        model: Folder or Hub name of a checkpoint; the embedded model's when omitted. With ``endpoints``, the model's
            name at the servers.
        endpoints: Addresses of OpenAI-compatible servers; none loads the checkpoint into this process. Where they want a key,
            the environment variable ``RSCOVLM_API_KEY`` holds it.
        batch_size: Conversations answered at a time in this process.

    Raises:
        ValueError: Servers are given without the model's name, an address is wrong, or the checkpoint cannot be loaded
            safely and whole.
    """
    import rscovlm

    if endpoints:
        if not model:
            raise ValueError("--server needs --model, the name by which the server knows its model")
        return rscovlm.engines.Server(endpoints, model, api_key=os.environ.get("RSCOVLM_API_KEY"))
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from rscovlm.processing.checkpoint_checks import loading

    name = model or rscovlm.embedded_model()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with loading(name):
        processor = AutoProcessor.from_pretrained(name, trust_remote_code=False)
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            name, dtype="auto", trust_remote_code=False, use_safetensors=True
        )
        return rscovlm.engines.Transformers(loaded.to(device).eval(), processor, batch_size=batch_size)
