"""Who answers a conversation: one protocol, several engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rscovlm.engines.engine import Conversation, Engine, Reply
from rscovlm.engines.repeats import RepeatGuard

if TYPE_CHECKING:
    from rscovlm.engines.server import Server, ServerError
    from rscovlm.engines.transformers import Transformers

__all__ = ["Conversation", "Engine", "RepeatGuard", "Reply", "Server", "ServerError", "Transformers"]


def __getattr__(name: str) -> Any:
    if name == "Transformers":  # torch is loaded by who uses it
        from rscovlm.engines.transformers import Transformers

        return Transformers
    if name in ("Server", "ServerError"):
        from rscovlm.engines import server

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
