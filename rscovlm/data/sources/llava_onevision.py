"""LLaVA-OneVision-Data: general conversations with one image or none, as the Hub serves it or as `save_to_disk` wrote it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rscovlm.data.sources.chat import chat_record
from rscovlm.data.sources.folder import Folder, image_size
from rscovlm.data.sources.registry import source
from rscovlm.records.record import ImageRef, Record
from rscovlm.records.rows import Row, as_text
from rscovlm.records.tally import Rejected


@source(
    "llava-onevision",
    splits=["train"],
    tasks=["conversation"],
    licence="Apache-2.0 for the collection; each subset under its own terms",
    layout="""*.parquet anywhere below the folder (<subset>/train-00000-of-00002.parquet), or data-*.arrow of save_to_disk; columns id,
    image (bytes and path, or nothing), conversations. Multi-image and video subsets are not read.""",
)
def llava_onevision(folder: Folder, split: str) -> Iterator[Record]:
    """Read one conversation a row, images embedded; a row without an image is text only."""
    for path in shards(folder.root):
        name = path.relative_to(folder.root).as_posix()
        for number, row in enumerate(rows(path), start=1):
            with folder.row(f"{name}, row {number}"):
                cell = row.get("image")
                if any("<image>" in turn.text("value") for turn in row.rows("conversations")) and cell is None:
                    raise Rejected("missing image", "the text shows an image, but the row holds none")
                images = [embedded_image(cell)] if cell is not None else []
                yield chat_record(row, f"{row.get('id')}#{name}:{number}", "llava-onevision", split, images, scale=None)


def shards(root: Path) -> list[Path]:
    """Give the Parquet and Arrow files at any depth, by name; what `datasets` keeps of its own in cache-*.arrow is no shard."""
    return sorted([*root.rglob("*.parquet"), *(p for p in root.rglob("*.arrow") if not p.name.startswith("cache-"))])


def rows(path: Path) -> Iterator[Row]:
    """Stream the rows of a Parquet or Arrow file, a few at a time.

    Raises:
        ValueError: The file cannot be read.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        if path.suffix == ".parquet":
            batches = parquet.ParquetFile(path).iter_batches(64)
        else:
            batches = pyarrow.ipc.open_stream(pyarrow.memory_map(str(path)))
        for batch in batches:
            yield from map(Row, batch.to_pylist())
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"shard {path.name} cannot be read ({error}); download it again") from error


def embedded_image(cell: Any) -> ImageRef:
    """Refer to the image inside a cell of the Hub's Image column; its size is read from its header.

    Raises:
        ValueError: The bytes are no image, or claim too many pixels.
    """
    given = Row(cell)
    data = given["bytes"]
    if not data:
        raise Rejected("missing image", f"image {given.get('path')!r} is not embedded in the shard")
    if not isinstance(data, bytes):
        # A text would be taken for the path of a file.
        raise Rejected("malformed row", f"the image's bytes are a {type(data).__name__}")
    width, height = image_size(data)
    return ImageRef(data=data, width=width, height=height)


def decoded_image(text: Any) -> ImageRef:
    """Refer to the image that a text holds in base64, as evaluation kits ship them.

    Raises:
        ValueError: It is not base64, or not of an image.
    """
    try:
        data = base64.b64decode(as_text(text, "the image"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Rejected("missing image", f"the image is not base64 ({error})") from error
    return embedded_image({"bytes": data})
