"""A program that writes a short question with the chat template on its input, within bounds of time and memory.

A template is a program written by the author of the checkpoint: it can loop for hours or fill the memory, and neither can be seen from
looking at it. It is run by path, so that nothing but transformers is loaded.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

SECONDS = 3
BYTES = 2**28
"""What a template may take beyond what the process holds before it: filling more takes longer than `SECONDS` on slow machines."""
CHARACTERS = 2**20


def try_template(template: str) -> str:
    """Return what is wrong with a template, or nothing.

    Args:
        template: Its text.
    """
    from jinja2 import TemplateError, TemplateSyntaxError
    from transformers.utils.chat_template_utils import render_jinja_template

    _bound()
    words = [{"type": "text", "text": "one"}]
    fault = ""
    for content in (words, [{"type": "image"}, *words], "one"):
        try:
            texts, _ = render_jinja_template(
                conversations=[[{"role": "user", "content": content}]],
                chat_template=template,
                add_generation_prompt=True,
                eos_token="",
                bos_token="",
            )
        except TemplateSyntaxError as error:
            return f"is no jinja template (line {error.lineno}: {error})"
        except MemoryError:
            return "needs more memory than a template may"
        except (
            TemplateError,
            TypeError,
            ValueError,
            LookupError,
            AttributeError,
            ArithmeticError,
            RecursionError,
        ) as error:
            # A template for other conversations may raise any of these.
            fault = fault or f"fails on a short question ({error})"
            continue
        if len(texts[0]) > CHARACTERS:
            return f"writes {len(texts[0])} characters for a question of one word"
        return ""
    return fault


def _bound() -> None:
    """Bound what this process may use from here on; where the system knows no bounds, the caller's clock remains."""
    try:
        import resource
    except ImportError:  # Windows
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + SECONDS
    for limit, most in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, _address_space() + BYTES)):
        _, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _address_space() -> int:
    """Return the bytes of address space that this process has; 2 GiB where the system has no file that states it."""
    try:
        pages, _, _ = Path("/proc/self/statm").read_text(encoding="ascii").partition(" ")
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 2**31


if __name__ == "__main__":
    logging.disable()
    said = try_template(sys.stdin.buffer.read().decode("utf-8", errors="replace"))
    sys.stdout.write(" ".join(said.split())[:400])
    sys.exit(1 if said else 0)
