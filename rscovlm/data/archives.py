"""Unpacking what a data set was published in: archives are looked through before anything is written.

A file appears under its name only when all files of all archives are whole; until then they lie in a hidden folder, which is removed
where something is refused.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from rscovlm.data.members import Budget, Member, OpenArchive, opened
from rscovlm.data.names import ArchiveNames
from rscovlm.records.tally import Rejected

_CHUNK = 1 << 20


def unpack(
    archive: str | Path,
    folder: str | Path,
    *,
    max_bytes: int = 1 << 40,
    max_members: int = 10_000_000,
    max_ratio: float = 200.0,
) -> list[str]:
    """Unpack a zip or tar archive (plain, gz, bz2, xz) below `folder`.

    Every member is checked first; if one is refused or damaged, nothing is left behind.

    Args:
        archive: The file.
        folder: Made if it is not there; files in it are not overwritten.
        max_bytes: Of all members together, unpacked.
        max_members: Files and folders in it at most.
        max_ratio: Unpacked size over the archive's own, at most: more is a bomb, no pictures.

    Returns:
        The files written, relative to `folder`, in the archive's order.

    Raises:
        ValueError: It is no archive or is damaged; a member is named outside the folder (`..`, absolute, a drive, a NUL), is a link or a
            device, is encrypted or packed in an unknown way; its name is too long, comes twice, or differs from another only in case
            or in how letters are composed; or the whole is over a limit. The message names archive and member.
        FileExistsError: A file is already there.
    """
    return unpack_all([archive], folder, max_bytes=max_bytes, max_members=max_members, max_ratio=max_ratio)[0]


def unpack_all(
    archives: Sequence[str | Path],
    folder: str | Path,
    *,
    max_bytes: int = 1 << 40,
    max_members: int = 10_000_000,
    max_ratio: float = 200.0,
    progress: Callable[[int, int], None] | None = None,
) -> list[list[str]]:
    """Unpack several archives below one folder: all of them or, where one is refused, none.

    Args:
        archives: The files.
        folder: As for `unpack`, which has the limits of each.
        max_bytes: See `unpack`.
        max_members: See `unpack`.
        max_ratio: See `unpack`.
        progress: Called with (files unpacked, files).

    Returns:
        The files written, by archive.

    Raises:
        ValueError: As `unpack`, or two archives hold files of the same name.
        FileExistsError: A file is already there.
    """
    target = Path(folder)
    with ExitStack() as stack:
        packs = []
        names = ArchiveNames(target)
        for path in map(Path, archives):
            pack = stack.enter_context(opened(path, Budget(path, max_bytes, max_members, max_ratio)))
            names.add(pack.path.name, [member.name for member in pack.members])
            packs.append(pack)
        anchor = next(place for place in (target, *target.absolute().parents) if place.is_dir())
        _check_room(packs, anchor)
        with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=anchor) as staging:
            members = [(pack, member) for pack in packs for member in pack.members]
            for done, (pack, member) in enumerate(members, 1):
                _stage(pack, member, Path(staging))
                if progress is not None:
                    progress(done, len(members))
            _place(Path(staging), target, (member.name for pack in packs for member in pack.members))
    return [[member.name for member in pack.members] for pack in packs]


def _check_room(packs: Sequence[OpenArchive], anchor: Path) -> None:
    needed, free = sum(member.size for pack in packs for member in pack.members), shutil.disk_usage(anchor).free
    if needed > free:
        raise Rejected("archive over budget", f"{needed} bytes are needed in {str(anchor)!r} and {free} are free")


def _stage(pack: OpenArchive, member: Member, staging: Path) -> None:
    place = staging / member.name
    place.parent.mkdir(parents=True, exist_ok=True)
    left = member.size
    with place.open("xb") as out, pack.reading(member) as read:
        while chunk := read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                break
            out.write(chunk)
    if left:
        how = "longer" if left < 0 else "shorter"
        raise Rejected(
            "unsafe archive",
            f"{pack.path.name}, member {member.name!r} is {how} than the {member.size} bytes it claims",
        )


def _place(staging: Path, target: Path, names: Iterable[str]) -> None:
    """Move files to their places, or back out of all of them."""
    placed: list[Path] = []
    made: list[Path] = []
    try:
        made += _made(target)
        for name in names:
            place = target / name
            made += _made(place.parent)
            if os.path.lexists(place):
                raise FileExistsError(f"{name!r} appeared in {str(target)!r} meanwhile; unpack into an empty folder")
            os.rename(staging / name, place)
            placed.append(place)
    except BaseException:
        for place in placed:
            place.unlink(missing_ok=True)
        for parent in reversed(made):
            with suppress(OSError):  # somebody put a file of theirs in it
                parent.rmdir()
        raise


def _made(folder: Path) -> list[Path]:
    """Make a folder and those it lies in, and give those that were not there, outermost first."""
    lacking: list[Path] = []
    while not folder.is_dir():
        lacking.append(folder)
        folder = folder.parent
    for place in reversed(lacking):
        place.mkdir()
    return lacking[::-1]
