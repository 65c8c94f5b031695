"""A copy of the checkout that may be changed, so that neither the original nor other processes see a mutant."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path


def copy(root: Path, copied: Path) -> None:
    """Bring a copy up to what git tracks, or would track, in a checkout; compiled files of an earlier run stay.

    Args:
        root: The checkout.
        copied: A folder of ours.
    """
    listed = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0")
    wanted = {name for name in names if name and (root / name).is_file()}
    for file in copied.rglob("*"):
        name = file.relative_to(copied).as_posix()
        if file.is_file() and "__pycache__" not in file.parts and name not in wanted:
            file.unlink()
    for name in wanted:
        source, target = root / name, copied / name
        if not target.exists() or _looks(source) != _looks(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def _looks(file: Path) -> tuple[int, int]:
    seen = file.stat()
    return seen.st_size, seen.st_mtime_ns


@contextlib.contextmanager
def changed(file: Path, source: str) -> Iterator[None]:
    """Let a file of the copy hold a mutant for a while.

    Its time changes with it, so that Python does not take the compiled file of the original, and comes back with the text.
    """
    before, seen = file.read_bytes(), file.stat()
    try:
        file.write_text(source, encoding="utf-8")
        os.utime(file, (seen.st_atime, seen.st_mtime + 2))
        yield
    finally:
        file.write_bytes(before)
        os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
