"""Unpacking what a data set was published in: archives are looked through before anything is written."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rscovlm.data.paths import check_relative
from rscovlm.data.tally import Rejected

_CHUNK = 1 << 20


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    fault: str
    handle: Any


def unpack(
    archive: str | Path,
    folder: str | Path,
    *,
    max_bytes: int = 1 << 40,
    max_members: int = 10_000_000,
    max_ratio: float = 200.0,
) -> list[str]:
    """Unpack a zip or tar archive (plain, gz, bz2, xz) below `folder`.

    Every member is checked first; if one is refused, nothing is written.

    Args:
        archive: The file.
        folder: Made if it is not there; files in it are not overwritten.
        max_bytes: Of all members together, unpacked.
        max_members: Files in it at most.
        max_ratio: Unpacked size over the archive's own, at most: more is a bomb, no pictures.

    Returns:
        The files written, relative to `folder`, in the archive's order.

    Raises:
        ValueError: It is no archive; a member is named outside the folder (`..`, absolute, a drive, a NUL), is a link or a device, is
            encrypted or comes twice; or the whole is over a limit. The message names archive and member.
        FileExistsError: A file is already there.
    """
    path, target = Path(archive), Path(folder)
    with _opened(path) as (members, read):
        _check(path, members, target, max_bytes, max_members, max_ratio)
        for member in members:
            place = target / member.name
            place.parent.mkdir(parents=True, exist_ok=True)
            with read(member) as source, place.open("xb") as out:
                _copy(source, out, member, path)
    return [member.name for member in members]


def _check(
    path: Path, members: list[_Member], target: Path, max_bytes: int, max_members: int, max_ratio: float
) -> None:
    if len(members) > max_members:
        raise Rejected("archive over budget", f"{path.name} has {len(members)} members, more than {max_members}")
    total, seen, root = 0, set(), target.resolve()
    for member in members:
        place = f"{path.name}, member {member.name!r}"
        if member.fault:
            raise Rejected("unsafe archive", f"{place} is {member.fault}; unpack only what you trust by hand")
        try:
            check_relative(member.name)
        except Rejected as error:
            raise Rejected("unsafe archive", f"{place}: {error}") from error
        if not (root / member.name).resolve().is_relative_to(root):
            raise Rejected("unsafe archive", f"{place} would be written through a link that leaves {str(target)!r}")
        if member.name in seen:
            raise Rejected("unsafe archive", f"{place} comes twice")
        if (target / member.name).exists():
            raise FileExistsError(f"{place} is already in {str(target)!r}; unpack into an empty folder")
        seen.add(member.name)
        total += member.size
    if total > max_bytes or total > max_ratio * max(path.stat().st_size, 1 << 16):
        raise Rejected(
            "archive over budget",
            f"{path.name} unpacks to {total} bytes; raise max_bytes and max_ratio if that is right",
        )


def _copy(source: IO[bytes], out: IO[bytes], member: _Member, path: Path) -> None:
    left = member.size
    while chunk := source.read(_CHUNK):
        left -= len(chunk)
        if left < 0:
            raise Rejected(
                "unsafe archive",
                f"{path.name}, member {member.name!r} is longer than the {member.size} bytes it claims",
            )
        out.write(chunk)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[list[_Member], Any]]:
    """Give the files of an archive and a way to read one; folders are made as they are needed."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as pack:
                rows = [_zipped(info) for info in pack.infolist() if not info.is_dir()]
                yield rows, lambda member: pack.open(member.handle)
            return
        with tarfile.open(path) as tape:
            rows = [_Member(m.name.removeprefix("./"), m.size, _tar_fault(m), m) for m in tape if not m.isdir()]
            yield rows, lambda member: tape.extractfile(member.handle)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        if isinstance(error, (FileNotFoundError, FileExistsError)):
            raise
        raise ValueError(f"{path.name} is not an archive that can be read ({error}); download it again") from error


def _zipped(info: zipfile.ZipInfo) -> _Member:
    mode = info.external_attr >> 16
    link = (mode & 0o170000) == 0o120000
    fault = "a link" if link else "encrypted" if info.flag_bits & 1 else ""
    # The name as stored: the library itself already cuts it at a NUL.
    name = info.orig_filename if "\x00" in info.orig_filename else info.filename
    return _Member(name, info.file_size, fault, info)


def _tar_fault(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return f"a link to {member.linkname!r}"
    return "" if member.isreg() else "no ordinary file"
