"""Messages in the form of the chat completions API."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from PIL import Image

from rscovlm.codec.grammar import Grammar
from rscovlm.processing.resolution import PixelBudget, plan_size

Structured: TypeAlias = Literal["grammar", "regex", "json", "json_schema"]
"""How a grammar is sent."""


def to_openai(
    messages: Sequence[Mapping[str, Any]], budget: PixelBudget, shows: PixelBudget | None = None
) -> list[dict[str, Any]]:
    """Return messages in the form of the chat completions API: images as data URIs of their planned size.

    Tool calls get identifiers and their arguments become JSON text; a tool turn names the call it answers.

    Args:
        messages: Turns with Hugging Face content blocks.
        budget: How images are planned.
        shows: How the server shows them, where that is known to differ.

    >>> to_openai([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}], PixelBudget())
    [{'role': 'user', 'content': [{'type': 'text', 'text': 'Hi'}]}]
    """
    turns: list[dict[str, Any]] = []
    open_calls: list[str] = []
    for number, message in enumerate(messages):
        content = message["content"]
        turn: dict[str, Any] = {"role": message["role"]}
        turn["content"] = (
            content if isinstance(content, str) else [_block(block, budget, shows or budget) for block in content]
        )
        if message.get("tool_calls"):
            turn["tool_calls"] = [_named(call, f"call_{number}_{k}") for k, call in enumerate(message["tool_calls"])]
            turn["content"] = turn["content"] or None  # vLLM makes a block of an empty text
            open_calls = [call["id"] for call in turn["tool_calls"]]
        elif message["role"] == "tool":
            turn["tool_call_id"] = open_calls.pop(0) if open_calls else f"call_{number}"
        turns.append(turn)
    return turns


def _named(call: Mapping[str, Any], name: str) -> dict[str, Any]:
    function = call["function"]
    arguments = function["arguments"]
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"id": name, "type": "function", "function": {"name": function["name"], "arguments": text}}


def sent_size(size: tuple[int, int], budget: PixelBudget, shows: PixelBudget) -> tuple[int, int]:
    """Return the size at which an image is sent, so that a server shows it as it is planned.

    That is the planned size, which the server leaves alone. A few sizes are no fixed points: slim images that must be
    enlarged pass the largest area. They go as they are, and the server plans them itself.

    Raises:
        ValueError: The server would show it otherwise.
    """
    planned = plan_size(*size, budget)
    for one in (planned, size):
        if plan_size(*one, shows) == planned:
            return one
    raise ValueError(
        f"an image of {size[0]}x{size[1]} pixels is planned as {planned.width}x{planned.height} by {budget}, which the server "
        f"changes by {shows}; give both the same budget"
    )


def _block(block: Mapping[str, Any], budget: PixelBudget, shows: PixelBudget) -> dict[str, Any]:
    if block["type"] != "image":
        return {"type": "text", "text": block["text"]}
    image: Image.Image = block["image"].convert("RGB")
    size = sent_size(image.size, budget, shows)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    data = base64.b64encode(buffer.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def structured_outputs(grammar: Grammar, most: int, form: Structured) -> dict[str, Any]:
    """Return the field of a request that holds the answer to a grammar."""
    if form == "regex":
        return {"structured_outputs": {"regex": grammar.regex(most)}}
    if form == "grammar":
        return {"structured_outputs": {"grammar": grammar.ebnf(most)}}
    schema = grammar.json_schema(most)
    if form == "json":
        return {"structured_outputs": {"json": schema}}
    # OpenAI's own wants an object at the top; the codec reads the list wherever it stands.
    whole = {
        "type": "object",
        "properties": {"objects": schema},
        "required": ["objects"],
        "additionalProperties": False,
    }
    return {
        "response_format": {"type": "json_schema", "json_schema": {"name": "objects", "strict": True, "schema": whole}}
    }
