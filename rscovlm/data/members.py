"""What is in a zip or tar archive, listed within a budget before anything is unpacked."""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rscovlm.records.tally import Rejected

_MOST_AT_ONCE = 2 << 20
"""Bytes that a reader of tar may ask for at once: an extended header that claims a gigabyte is read into memory whole."""

_METHODS = {
    getattr(zipfile, f"ZIP_{name}")
    for name in ["STORED", "DEFLATED", "BZIP2", "LZMA", "ZSTANDARD"]  # the last from Python 3.14 on
    if hasattr(zipfile, f"ZIP_{name}")
}
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # a password, strong encryption, an encrypted directory
_COMPRESSED: dict[bytes, Callable[[Any], AbstractContextManager[Any]]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}


@dataclass(frozen=True)
class Member:
    """One file in an archive: its name without `.` and doubled slashes, and its size unpacked in bytes."""

    name: str
    size: int
    handle: Any


@dataclass(frozen=True)
class OpenArchive:
    """An archive that is open.

    Attributes:
        path: The file.
        members: Its files, in its order; folders are made as they are needed.
        open: Opens one member.
    """

    path: Path
    members: list[Member]
    open: Callable[[Member], IO[bytes]]

    @contextmanager
    def reading(self, member: Member) -> Iterator[Callable[[int], bytes]]:
        """Give a function that reads the next bytes of a member, and says which archive is damaged."""
        with ExitStack() as stack:
            with _damage(self.path):
                file = stack.enter_context(self.open(member))

            def read(size: int) -> bytes:
                with _damage(self.path):
                    return file.read(size)

            yield read


class Budget:
    """What an archive may hold; counted while its members are listed, since listing a compressed tar unpacks it."""

    def __init__(self, path: Path, most_bytes: int, most_members: int, ratio: float) -> None:
        self._path, self._members = path, most_members
        self._bytes = min(most_bytes, int(ratio * max(path.stat().st_size, 1 << 16)))
        self._count = self._total = 0

    def take(self, size: int, *, behind: int = 0) -> None:
        """Count a member.

        Args:
            size: Bytes of it.
            behind: Bytes that were unpacked to come to its end.

        Raises:
            ValueError: The archive is over a limit.
        """
        self._count += 1
        self._total += size
        if self._count > self._members:
            raise Rejected(
                "archive over budget", f"{self._path.name} has {self._count} members, more than {self._members}"
            )
        total = max(self._total, behind)
        if total > self._bytes:
            raise Rejected(
                "archive over budget",
                f"{self._path.name} unpacks to {total} bytes or more, over {self._bytes}; raise max_bytes and max_ratio if that is right",
            )


@contextmanager
def opened(path: Path, budget: Budget) -> Iterator[OpenArchive]:
    """Open an archive and list its files.

    Raises:
        ValueError: It is no archive, a member is no ordinary file, or it is over its budget.
        FileNotFoundError: There is no such file.
    """
    with ExitStack() as stack:
        with _damage(path):
            file = stack.enter_context(path.open("rb"))
            head = file.read(6)
            file.seek(0)
            # By its first bytes: a tar may end with a zip.
            if head[:2] == b"PK":
                pack = stack.enter_context(zipfile.ZipFile(file))
                members = list(_zipped(pack, path, budget))
                found = OpenArchive(path, members, lambda member: pack.open(member.handle))
            else:
                unpacked = next((kind for magic, kind in _COMPRESSED.items() if head.startswith(magic)), None)
                stream = file if unpacked is None else stack.enter_context(unpacked(file))
                tape = stack.enter_context(tarfile.open(fileobj=_Bounded(stream, path), mode="r:"))  # type: ignore[call-overload]
                members = list(_taped(tape, path, budget))
                found = OpenArchive(path, members, lambda member: tape.extractfile(member.handle))
        yield found


def _zipped(pack: zipfile.ZipFile, path: Path, budget: Budget) -> Iterator[Member]:
    for info in pack.infolist():
        mode = info.external_attr >> 16
        # The name as stored: the library itself already cuts it at a NUL.
        name = info.orig_filename if "\x00" in info.orig_filename else info.filename
        budget.take(info.file_size)
        if info.is_dir():
            continue
        if stat.S_ISLNK(mode):
            _refuse(path, name, "a link")
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            _refuse(path, name, "no ordinary file")
        if info.flag_bits & _ENCRYPTED:
            _refuse(path, name, "encrypted")
        if info.compress_type not in _METHODS:
            _refuse(path, name, f"packed by method {info.compress_type}, which is unknown here")
        yield Member(_plain(name), info.file_size, info)


def _taped(tape: tarfile.TarFile, path: Path, budget: Budget) -> Iterator[Member]:
    for info in tape:
        # The next header lies behind this member's data, which are not unpacked before they are counted.
        budget.take(info.size, behind=info.offset_data + info.size)
        if info.isdir():
            continue
        if info.issym() or info.islnk():
            _refuse(path, info.name, f"a link to {info.linkname!r}")
        if not info.isreg():
            _refuse(path, info.name, "no ordinary file")
        yield Member(_plain(info.name), info.size, info)


def _plain(name: str) -> str:
    """Write a relative name without `.` and doubled slashes, which would be a second name of the same file."""
    return name if name.startswith("/") else "/".join(part for part in name.split("/") if part not in ("", "."))


def _refuse(path: Path, name: str, fault: str) -> None:
    raise Rejected("unsafe archive", f"{path.name}, member {name!r} is {fault}; unpack only what you trust by hand")


class _Bounded:
    """A file that refuses to give more at once than a header or a piece of a member takes."""

    def __init__(self, file: Any, path: Path) -> None:
        self._file, self._path = file, path
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MOST_AT_ONCE:
            raise Rejected(
                "archive over budget", f"{self._path.name} has a header of {size} bytes; that is no archive of files"
            )
        data: bytes = self._file.read(size)
        return data


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn what a damaged archive makes its readers raise into one error that names the file."""
    try:
        yield
    except (FileNotFoundError, Rejected):
        raise
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        struct.error,
        EOFError,
        OSError,
        ValueError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise ValueError(f"{path.name} is not an archive that can be read ({error}); download it again") from error
