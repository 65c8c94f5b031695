"""Who answers a conversation: one protocol, several engines."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rscovlm.engines.engine import Conversation, Engine, Memory, Reply
from rscovlm.engines.repeats import RepeatGuard
from rscovlm.extras import optional

if TYPE_CHECKING:
    from rscovlm.engines.server import Server, ServerError
    from rscovlm.engines.transformers import Transformers
    from rscovlm.engines.vllm import VLLM

__all__ = ["VLLM", "Conversation", "Engine", "Memory", "RepeatGuard", "Reply", "Server", "ServerError", "Transformers"]

# Loaded when first used: torch, transformers and vLLM are there only for who needs them.
_LAZY = {"Server": "server", "ServerError": "server", "Transformers": "transformers", "VLLM": "vllm"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        with optional():
            return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
