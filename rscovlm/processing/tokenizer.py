"""A small Qwen-style tokenizer built on the spot, for models trained from nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
"""Special tokens of the Qwen-VL family that the chat template and the model refer to, in this order from id 0."""

_WORDS = r"'s|\p{N}|\s?\p{L}+|\s?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"


def build_tokenizer(corpus: Iterable[str], *, phrases: Sequence[str] = (), vocab_size: int = 512) -> Any:
    """Train a byte-level BPE tokenizer: any text can be written, each digit is a token, as in Qwen's own.

    Args:
        corpus: Text to learn merges from; it should hold the words the model will read and write.
        phrases: Fixed texts that become one token each, so that a long system text costs one position while the text
            stays what it is. The longest one that matches wins.
        vocab_size: Tokens learnt from the corpus, bytes included; special tokens and phrases come on top.

    Returns:
        A `transformers` fast tokenizer; ``<|endoftext|>`` pads, ``<|im_end|>`` ends.

    Examples:
        >>> tokenizer = build_tokenizer(["find the plane, ship"], phrases=["You are a helpful assistant."])
        >>> len(tokenizer("You are a helpful assistant.")["input_ids"])
        1
        >>> tokenizer.decode(tokenizer("a naïve 12,34 box\\n")["input_ids"])
        'a naïve 12,34 box\\n'
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size + len(SPECIAL_TOKENS),
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in dict.fromkeys(phrases)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", *SPECIAL_TOKENS[3:]],
        model_max_length=32768,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def special_texts(tokenizer: Any) -> set[str]:
    """Return the texts of tokens that decoding with ``skip_special_tokens`` leaves out, named by the tokenizer or not."""
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    return {*tokenizer.all_special_tokens, *(str(token) for token in added if token.special)}
