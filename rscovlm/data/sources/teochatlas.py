"""TEOChatlas: conversations about image series of up to eight times, boxes as `[x1, y1, x2, y2]` in per cent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rscovlm.data.records import Record
from rscovlm.data.sources.chat import chat_record, named
from rscovlm.data.sources.folder import Folder
from rscovlm.data.sources.registry import source

_LICENCE = "instructions Apache-2.0; images of fMoW, QFabric, S2Looking and xBD (CC BY-NC-SA 4.0) under their own terms"
_LAYOUT = """train/instruct_{file}.json, one array, or below TEOChatlas/; eval/*.json whose `dataset` or name says {file}. Pictures by
the path in `video` or `image`, relative to the data folder."""


def _images(folder: Folder, row: dict[str, Any], prefix: str) -> list[Any]:
    paths = row.get("video", row.get("image")) or []
    paths = [paths] if isinstance(paths, str) else paths
    times = [str(time) for time in row.get("timestamp") or row.get("timestamps") or []]
    times += [""] * (len(paths) - len(times))
    return [folder.image(f"{prefix}{path}", time=time) for path, time in zip(paths, times, strict=False)]


def _register(name: str, file: str, pictures: str = "") -> None:
    def read(folder: Folder, split: str) -> Iterator[Record]:
        top = folder.first("TEOChatlas/train", "train", "TEOChatlas/eval", "eval").rpartition("/")[0]
        top = f"{top}/" if top else ""
        stem = file.removeprefix("instruct_").removesuffix("_modified").lower()
        evals = (
            [path for path in folder.files(f"{top}eval", ".json") if stem in path.lower()] if split == "eval" else []
        )
        for path in evals or [f"{top}train/{file}.json"]:
            for place, row in folder.items(path):
                with folder.row(place):
                    images = _images(folder, row, pictures)
                    extra = {key: str(row[key]) for key in ("task", "dataset") if row.get(key)}
                    identity = f"{path.rpartition('/')[2].removesuffix('.json')}/{named(row, place)}"
                    yield chat_record(row, identity, name, split, images, scale=100, extra=extra)

    layout = _LAYOUT.format(file=file)
    source(name, splits=["train", "eval"], tasks=["conversation"], licence=_LICENCE, layout=layout)(read)


for _name, _file, _pictures in (
    ("teochatlas-fmow", "instruct_fMoW", ""),
    ("teochatlas-qfabric", "instruct_QFabric", ""),
    ("teochatlas-s2looking", "instruct_S2Looking", ""),
    ("teochatlas-xbd", "instruct_xBD", ""),
    ("teochatlas-geochat", "instruct_GeoChat_modified", "geochat_data/images/"),
):
    _register(_name, _file, _pictures)
