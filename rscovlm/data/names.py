"""Names of files that are to be written, checked together: on any file system, each is a file of its own below one folder."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from rscovlm.records.paths import check_relative
from rscovlm.records.tally import Rejected

_PART = 255  # bytes of one name on every file system in use
_PATH = 4000  # bytes of a path, below Linux's 4096


class ArchiveNames:
    """The files that archives are going to write below a folder.

    Args:
        folder: It need not be there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._root = folder.resolve()
        self._files: dict[str, str] = {}
        self._parents: dict[str, str] = {}
        self._folders: set[str] = set()

    def add(self, archive: str, names: Sequence[str]) -> None:
        """Take the names of one archive.

        Raises:
            ValueError: One leaves the folder or is too long, two are the same or differ only in case or in how letters are
                composed, or one is a file and a folder.
            FileExistsError: A file is already there.
        """
        for name in names:
            shown = name if len(name) < 100 else f"{name[:97]}..."
            place = f"{archive}, member {shown!r}"
            fault = self._fault(name)
            if fault:
                raise Rejected("unsafe archive", f"{place} {fault}")
            if os.path.lexists(self._folder / name):
                raise FileExistsError(f"{place} is already in {str(self._folder)!r}; unpack into an empty folder")

    def _fault(self, name: str) -> str:
        try:
            check_relative(name)
        except Rejected as error:
            return f"is refused: {error}"
        parts = name.split("/")
        if any(len(os.fsencode(part)) > _PART for part in parts) or len(os.fsencode(self._root / name)) > _PATH:
            return f"has a name longer than {_PART} bytes, or a path longer than {_PATH}"
        inner = name.rpartition("/")[0]
        if inner not in self._folders:
            self._folders.add(inner)
            fault = self._blocked(name, parts)
            if fault:
                return fault
        return self._clash(name, parts)

    def _clash(self, name: str, parts: list[str]) -> str:
        """Say which name of before is the same, or would be on a file system that ignores case or composes letters."""
        key = _key(name)
        other = self._files.get(key)
        if other is not None:
            return (
                "comes twice" if other == name else f"is the same file as {other!r} where case or accents do not count"
            )
        if key in self._parents:
            return f"is a file and, of {self._parents[key]!r}, a folder"
        for count in range(len(parts) - 1, 0, -1):
            parent = _key("/".join(parts[:count]))
            if parent in self._files:
                return f"lies in {self._files[parent]!r}, which is a file"
            if parent in self._parents:  # and so are those it lies in
                break
            self._parents[parent] = name
        self._files[key] = name
        return ""

    def _blocked(self, name: str, parts: list[str]) -> str:
        """Say what is in the way on the disk."""
        if not (self._root / name).parent.resolve().is_relative_to(self._root):
            return f"would be written through a link that leaves {str(self._folder)!r}"
        for count in range(1, len(parts)):
            parent = self._folder.joinpath(*parts[:count])
            if os.path.lexists(parent) and not parent.is_dir():
                return f"needs the folder {str(parent)!r}, which is a file"
        return ""


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
