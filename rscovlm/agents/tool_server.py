"""The tools as a server of the Model Context Protocol, by the official SDK."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from rscovlm import __version__
from rscovlm.agents.image_tools import ImageTools
from rscovlm.agents.workspace import Workspace
from rscovlm.engines import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTRUCTIONS = (
    "Remote-sensing images of any size. Begin with list_images or open_image; paths are relative to the root. Boxes are in "
    "pixels of the original image, x right and y down; export_geojson writes results in map coordinates."
)


def tool_server(tools: ImageTools, files: Workspace) -> MCPServer[Any]:
    """Return a server of the tools; its `run` answers over standard input and output.

    What a tool refuses reaches the agent as its words; a fault of ours reaches the log with its traceback.

    Args:
        tools: What the server offers: its public methods.
        files: The files they work on, whose root is left out of messages.
    """
    server: MCPServer[Any] = MCPServer("rscovlm", instructions=INSTRUCTIONS, version=__version__, log_level="WARNING")
    for method in _methods(tools):
        server.add_tool(
            _reporting(method, files), description=(inspect.getdoc(method) or "").partition("\n\nRaises:")[0]
        )
    return server


def _methods(tools: ImageTools) -> Iterator[Callable[..., dict[str, Any]]]:
    for name in vars(type(tools)):
        if not name.startswith("_"):
            yield getattr(tools, name)


def _reporting(method: Callable[..., dict[str, Any]], files: Workspace) -> Callable[..., dict[str, Any]]:
    """Return a tool that reports what it refuses in the form of the protocol."""

    @functools.wraps(method)
    def call(*args: Any, **named: Any) -> dict[str, Any]:
        try:
            return method(*args, **named)
        except (ValueError, OSError, MemoryError, ServerError) as error:
            raise ToolError(files.without_root(str(error)) or type(error).__name__) from error

    return call
