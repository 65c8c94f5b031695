"""The folder of the user in which reduced copies of large files are kept, within a bound."""

from __future__ import annotations

import logging
import os
import stat
import sys
from pathlib import Path

_LOGGER = logging.getLogger(__name__)

VARIABLE = "RSCOVLM_CACHE"
"""Names another folder; empty, nothing is kept."""

LARGE = 2**27
"""Pixels of a file without overviews from which a reduced copy is kept: a pass over fewer takes a second or two."""

BOUND = 4 * 2**30
"""Bytes of all copies; those that were not used for longest are removed."""


def user_folder() -> Path | None:
    """Return the folder for reduced copies, made where it does not exist; None where there is none to trust.

    Only a folder that belongs to this user and that nobody else may write to is used: a copy that somebody else put there
    would be shown in the place of the image.
    """
    named = os.environ.get(VARIABLE)
    if named == "":
        return None
    folder = Path(named) if named is not None else _caches() / "rscovlm" / "overviews"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        why = _distrusted(folder)
    except (OSError, RuntimeError) as error:  # no home, a disk that cannot be written
        why = str(error)
    if why:
        _LOGGER.warning("overviews are not kept in %s: %s", folder, why)
        return None
    return folder


def _caches() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    named = os.environ.get("XDG_CACHE_HOME", "")
    return Path(named) if os.path.isabs(named) else Path.home() / ".cache"


def _distrusted(folder: Path) -> str:
    """Say why a folder is not to be trusted; empty where it is."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return "it is no folder"
    if sys.platform != "win32":
        if found.st_uid != os.getuid():
            return "it belongs to another user"
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return "other users may write to it"
    return ""


def make_room(folder: Path, ending: str, *, keep: Path, bound: int | None = None) -> None:
    """Remove the copies that were not used for longest, until the others are within a bound.

    Args:
        folder: Where they are.
        ending: How their names end; other files are left alone.
        keep: The one that was just written.
        bound: Bytes; None takes `BOUND`.
    """
    found = []
    for path in folder.glob(f"*{ending}"):
        try:
            about = path.lstat()
        except FileNotFoundError:  # another process removed it
            continue
        if stat.S_ISREG(about.st_mode) and path != keep:
            found.append((about.st_mtime_ns, about.st_size, path))
    room = (BOUND if bound is None else bound) - keep.stat().st_size
    for _, size, path in sorted(found, reverse=True):
        room -= size
        if room < 0:
            path.unlink(missing_ok=True)
