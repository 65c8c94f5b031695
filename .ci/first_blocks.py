"""The first block of every guide, as a program of its own.

    python .ci/first_blocks.py FOLDER    # writes one file a guide, and prints their names, one a line

Python becomes `PAGE.py`, commands become `PAGE.sh`. A block with a title is the file of that name, which the commands of the next
block find. A server runs until it answers. Commands that begin with `pip install` want an empty environment, others the README's.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(r"^```(\w*)(?: title=\"([\w.]+)\")?\n(.*?)^```", re.DOTALL | re.MULTILINE)
_PROMPT = re.compile(r"^(?:>>>|\.\.\.) ?", re.MULTILINE)
_SERVER = re.compile(r"^(?:rscovlm serve|transformers serve|python -c [^\n]*\\\n *serve)\b.*\Z", re.MULTILINE)
_ANSWERS = """
import subprocess, sys, time, urllib.error, urllib.request
started = subprocess.Popen(sys.argv[1:])
try:
    for _ in range(180):
        try:
            urllib.request.urlopen("http://127.0.0.1:8000/v1/models", timeout=10)
            break
        except urllib.error.HTTPError:
            break
        except OSError:
            if started.poll() is not None:
                sys.exit("the server ended")
            time.sleep(1)
    else:
        sys.exit("the server does not answer")
    if started.poll() is not None:
        sys.exit("another server answered")
finally:
    started.terminate()
    started.wait()
"""


def first_blocks(folder: Path = ROOT / "docs") -> dict[str, str]:
    """Return the program of each page whose first block is Python, or a session in it without what it prints."""
    found = {}
    for page in sorted(folder.glob("*.md")):
        block = _BLOCK.search(page.read_text(encoding="utf-8"))
        if block is not None and block[1] == "python":
            found[page.name] = block[3]
        elif block is not None and block[1] == "pycon":
            typed = [line for line in block[3].splitlines() if _PROMPT.match(line)]
            found[page.name] = "".join(f"{_PROMPT.sub('', line)}\n" for line in typed)
    return found


def first_commands(folder: Path = ROOT / "docs") -> dict[str, str]:
    """Return the script of each page whose first block is commands, or a file and then commands.

    Raises:
        ValueError: A page begins with a block that is none of these.
    """
    found = {}
    for page in sorted(folder.glob("*.md")):
        script = ""
        for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
            kind, title, text = block.groups()
            if title:
                script += f"cat > {title} <<'END OF FILE'\n{text}END OF FILE\n"
                continue
            if kind not in ("", "bash", "python", "pycon"):
                raise ValueError(f"{page.name} begins with {kind}; give the block a title, or commands before it")
            if kind in ("", "bash"):
                found[page.name] = script + text
            break
    return found


def _runnable(commands: str) -> str:
    """Return commands as a script that ends with the first that fails, and in which a server ends once it answers."""
    served = _SERVER.sub(
        lambda line: f"python - {line[0]} <<'END OF PROGRAM'{_ANSWERS}END OF PROGRAM", commands.rstrip()
    )
    # A server of tools ends with its input.
    served = re.sub(r"^(rscovlm mcp [^\n]*)$", r"\1 </dev/null", served, flags=re.MULTILINE)
    return f"set -euo pipefail\n{served}\n"


def write(folder: Path) -> list[str]:
    """Write the programs of all pages and return the names of their files."""
    folder.mkdir(parents=True, exist_ok=True)
    programs = {f"{Path(page).stem}.py": code for page, code in first_blocks().items()}
    programs |= {f"{Path(page).stem}.sh": _runnable(code) for page, code in first_commands().items()}
    for name, code in programs.items():
        (folder / name).write_text(code, encoding="utf-8")
    return sorted(programs)


if __name__ == "__main__":
    sys.stdout.write("\n".join(write(Path(sys.argv[1]))) + "\n")
