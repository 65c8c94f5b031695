"""The chat template as shipped with every checkpoint that our processor saves."""

from importlib import resources

_DEFAULT_SYSTEM = "{%- set default_system = 'You are a helpful assistant.' -%}"
_NO_SYSTEM = "{%- set default_system = '' -%}"


def chat_template(family: str = "qwen2_5_vl") -> str:
    """Return the jinja chat template of a model family.

    The text equals the stock template's wherever that one has something to say. Beyond it: ``tools`` (a header in the
    system turn, in the format Qwen models know), ``tool_calls`` of assistant turns, ``tool`` turns with text and images,
    and ``{% generation %}`` marks around what the assistant wrote and its ``<|im_end|>``, from which
    ``return_assistant_tokens_mask`` makes labels.

    Args:
        family: ``"qwen2_5_vl"``, which opens with a default system turn where the conversation has none, or
            ``"qwen3_vl"``, which does not.

    Raises:
        ValueError: if the family is neither.

    >>> "image_pad" in chat_template()
    True
    """
    if family not in ("qwen2_5_vl", "qwen3_vl"):
        raise ValueError(f"family {family!r} has no chat template here; choose qwen2_5_vl or qwen3_vl")
    text = resources.files(__package__).joinpath("chat_template.jinja").read_text(encoding="utf-8")
    return text if family == "qwen2_5_vl" else text.replace(_DEFAULT_SYSTEM, _NO_SYSTEM)


default_template = chat_template  # where `chat_template` is also the name of an argument
