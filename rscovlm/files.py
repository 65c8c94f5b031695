"""Output files: nothing is changed that this package did not write, and a file is replaced whole or not at all."""

from __future__ import annotations

import errno
import logging
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

EDGE = 65536
"""Bytes at the beginning and at the end of a file in which its mark is looked for."""

_FOLDER_MARK = ".rscovlm"
_LOGGER = logging.getLogger(__name__)


def mark(kind: str) -> str:
    """Return what stands in every file of a kind that this package writes, so that it knows the file again.

    >>> mark("geojson")
    'urn:rscovlm:geojson'
    """
    return f"urn:rscovlm:{kind}"


def check_output(path: str | os.PathLike[str], kind: str | None = None, *, overwrite: bool = False) -> Path:
    """Return where an output goes, or refuse because something else is there.

    Args:
        path: What the user named. A link is followed.
        kind: Kind of output, see `mark`. None: such files carry no mark, so an existing one is always refused.
        overwrite: Replace an existing file whatever it holds.

    Raises:
        ValueError: The path is a folder or a device, or a file that is not known to be ours.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise ValueError(f"{path} is a folder; give the name of a file")
    if not os.path.lexists(target):
        return target
    if not target.is_file():
        raise ValueError(f"{path} is not a plain file; give another name")
    if overwrite or not target.stat().st_size or (kind is not None and _carries(target, mark(kind))):
        return target
    what = "exists already" if kind is None else f"exists already and was not written by rscovlm as {kind}"
    raise ValueError(
        f"{path} {what}; give another name, remove the file, or overwrite it (overwrite=True, --overwrite)"
    )


@contextmanager
def replacing(path: str | os.PathLike[str], kind: str | None = None, *, overwrite: bool = False) -> Iterator[Path]:
    """Give the name of a new file to write, which takes the place of ``path`` when the block ends well.

    When the block fails, on a full disk for instance, the file that was there stays as it was.

    Args:
        path: The output; its folder must exist.
        kind: See `check_output`.
        overwrite: See `check_output`.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: Something else is there.
    """
    target = check_output(path, kind, overwrite=overwrite)
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"folder {str(target.parent)!r} does not exist, so {target.name!r} has no place; make it first"
        )
    # The name is cut so that a long one does not pass the file system's limit with what is added.
    part = target.with_name(f".{target.name[:100]}.{uuid.uuid4().hex[:12]}.part")
    try:
        yield part
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str, kind: str | None = None, *, overwrite: bool = False) -> Path:
    """Write a text file in one move and return its path; see `replacing`.

    Args:
        path: The output.
        text: Its text, which holds ``mark(kind)``.
        kind: See `check_output`.
        overwrite: See `check_output`.
    """
    with replacing(path, kind, overwrite=overwrite) as part:
        # Half a character, which a model may be made to write, becomes an escape that JSON reads back.
        part.write_text(text, encoding="utf-8", errors="backslashreplace")
    return Path(path)


FAST_PNG = 1
"""zlib's level for pictures: four times as fast as Pillow's 6 on aerial tiles, whose files become 1 to 10 % larger."""


def write_picture(path: str | os.PathLike[str], picture: Image.Image, *, overwrite: bool = False) -> Path:
    """Write a picture as PNG that says it is ours, in one move; see `replacing`."""
    from PIL.PngImagePlugin import PngInfo

    about = PngInfo()
    about.add_text("Software", mark("picture"))
    with replacing(path, "picture", overwrite=overwrite) as part:
        picture.save(part, "PNG", pnginfo=about, compress_level=FAST_PNG)
    return Path(path)


def claim_folder(path: str | os.PathLike[str], kind: str, *, overwrite: bool = False) -> Path:
    """Make a folder for many outputs and mark it as ours.

    Args:
        path: A folder that does not exist, is empty, or was claimed before for this kind.
        kind: Kind of output.
        overwrite: Take a folder that holds other things too.

    Raises:
        ValueError: The folder holds other things, or the path is a file.
    """
    folder = check_folder(path, kind, overwrite=overwrite)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _FOLDER_MARK).write_text(mark(kind) + "\n", encoding="utf-8")
    return folder


def check_folder(path: str | os.PathLike[str], kind: str, *, overwrite: bool = False) -> Path:
    """Return a folder that `claim_folder` would take, or refuse it; nothing is made.

    Args:
        path: The folder.
        kind: Kind of output.
        overwrite: Take a folder that holds other things too.

    Raises:
        ValueError: The folder holds other things, or the path is a file.
    """
    folder = Path(path)
    if os.path.lexists(folder) and not folder.is_dir():
        raise ValueError(f"{path} is a file; give the name of a folder")
    note = folder / _FOLDER_MARK
    ours = note.is_file() and _carries(note, mark(kind))
    if not (ours or overwrite) and folder.is_dir() and any(folder.iterdir()):
        raise ValueError(
            f"folder {str(path)!r} holds files and was not made by rscovlm for {kind}; give a new or an empty folder"
        )
    return folder


def lock(file: int, name: str) -> None:
    """Keep other processes from locking an open file until it is closed; the end of this process frees it too.

    On a file system without locks this only logs a warning.

    Args:
        file: Descriptor of the file.
        name: What messages call it.

    Raises:
        ValueError: Another process, or another open file of this one, holds the lock.
    """
    try:
        _lock(file)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            raise ValueError(f"another process is writing to {name}; wait for it, or give another file") from error
        _LOGGER.warning("%s cannot be locked (%s): see that no second process writes to it", name, error)


if sys.platform == "win32":

    def _lock(file: int) -> None:
        import msvcrt

        # Windows locks ranges of bytes, and locked ones cannot be read: one far behind the end of the file is taken.
        os.lseek(file, 2**30 * 2**30 - 1, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

else:

    def _lock(file: int) -> None:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _carries(path: Path, text: str) -> bool:
    """Tell whether a file has a text near its beginning or its end; it is opened for reading."""
    wanted = text.encode()
    with path.open("rb") as file:
        head = file.read(EDGE)
        file.seek(max(0, path.stat().st_size - EDGE))
        return any(_stands_alone(part, wanted) for part in (head, file.read(EDGE)))


def _stands_alone(data: bytes, wanted: bytes) -> bool:
    """Tell whether a mark stands in some bytes and is not the beginning of a longer one."""
    at = data.find(wanted)
    while at >= 0:
        after: Any = data[at + len(wanted) : at + len(wanted) + 1]
        if not after.isalnum():
            return True
        at = data.find(wanted, at + 1)
    return False
