"""Converters: one file a source, each reading the files as published.

    >>> from rscovlm.data.sources import sources
    >>> sources()["rsar"].splits
    ('train', 'val', 'test')

One's own takes five lines: a function that yields records, with `folder.row` around what may fail.

    @source("mine", splits=["train"], tasks=["caption"], licence="CC0", layout="images/*.png, captions.jsonl")
    def mine(folder: Folder, split: str) -> Iterator[Record]:
        for place, row in folder.items("captions.jsonl"):
            with folder.row(place):
                yield Record(row["file"], "mine", split, "caption", (folder.image(row["file"]),), captions=(row["text"],))
"""

from rscovlm.data.sources.folder import PICTURES, Folder
from rscovlm.data.sources.registry import Source, convert, find_source, source, sources

__all__ = ["PICTURES", "Folder", "Source", "convert", "find_source", "source", "sources"]
