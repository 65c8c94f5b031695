"""The first block of every guide that is Python, as a program of its own.

    python .ci/first_blocks.py FOLDER    # writes one file a guide

A guide that begins with commands or a recipe is not among them: those name checkpoints and data of one's own.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_PROMPT = re.compile(r"^(?:>>>|\.\.\.) ?", re.MULTILINE)


def first_blocks(folder: Path = ROOT / "docs") -> dict[str, str]:
    """Return the program of each page whose first block is Python, or a session in it without what it prints."""
    found = {}
    for page in sorted(folder.glob("*.md")):
        block = _BLOCK.search(page.read_text(encoding="utf-8"))
        if block is not None and block[1] == "python":
            found[page.name] = block[2]
        elif block is not None and block[1] == "pycon":
            typed = [line for line in block[2].splitlines() if _PROMPT.match(line)]
            found[page.name] = "".join(f"{_PROMPT.sub('', line)}\n" for line in typed)
    return found


if __name__ == "__main__":
    written = Path(sys.argv[1])
    written.mkdir(parents=True, exist_ok=True)
    for name, code in first_blocks().items():
        (written / f"{Path(name).stem}.py").write_text(code, encoding="utf-8")
