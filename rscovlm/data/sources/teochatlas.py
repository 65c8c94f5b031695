"""TEOChatlas: conversations about image series of up to eight times, boxes as `[x1, y1, x2, y2]` in per cent."""

from __future__ import annotations

from collections.abc import Iterator

from rscovlm.data.sources.chat import chat_record, named
from rscovlm.data.sources.folder import Folder, stem_of, written
from rscovlm.data.sources.registry import source
from rscovlm.records.record import ImageRef, Record
from rscovlm.records.rows import Row, as_list
from rscovlm.records.tally import Rejected

_LICENCE = """instructions Apache-2.0; images of fMoW, QFabric, S2Looking, xBD (CC BY-NC-SA 4.0), ABCD, CDVQA, AID, UC Merced, LRBEN and HRBEN
under their own terms"""
_HELD = """the form of train/instruct.json (dataset, task, video, timestamps, conversations) as two public readers take it; ermongroup/TEOChat videollava/train/train.py and videollava/eval/inference.py (video, timestamp as YYYY-MM-DD, task, polygon as WKT,
conversations, series put in order of time), videollava/eval/eval.py (names of the evaluation parts); VisionXLab/RSCoVLM
rscovlm/eval/data/teochatlas_bench.py (their files, paths that begin with TEOChatlas/, turns without a speaker). A real file was not seen."""


def _images(folder: Folder, row: Row, inside: str, top: str) -> list[ImageRef]:
    paths = row.get("video") or row.get("image") or []
    paths = [paths] if isinstance(paths, str) else as_list(paths, "the images")
    given = row.get("timestamp") or row.get("timestamps") or []
    times = [given] if isinstance(given, str) else list(map(written, as_list(given, "the times")))
    if times and len(times) != len(paths):
        raise Rejected("times do not match", f"{len(times)} times for {len(paths)} images")
    if times:
        # The texts speak of the order of time, and the published reader sorts before it shows a series.
        order = sorted(range(len(paths)), key=times.__getitem__)
        paths, times = [paths[i] for i in order], [times[i] for i in order]
    times = times or [""] * len(paths)
    # Paths begin with the release's own folder, which may be the data folder itself.
    paths = [path if top or not isinstance(path, str) else path.removeprefix("TEOChatlas/") for path in paths]
    return [folder.image(path, under=inside, time=time) for path, time in zip(paths, times, strict=True)]


def _spoken(row: Row) -> Row:
    """Say who speaks in the pairs of the evaluation files that do not."""
    turns = row.rows("conversations")
    if len(turns) != 2 or all("from" in turn for turn in turns):
        return row
    said = [{"from": speaker, **turn} for speaker, turn in zip(("human", "gpt"), turns, strict=True)]
    return Row({**row, "conversations": said})


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _register(name: str, train: str, evals: tuple[str, ...], pictures: str = "") -> None:
    def read(folder: Folder, split: str) -> Iterator[Record]:
        top = folder.first("TEOChatlas/train", "train", "TEOChatlas/eval", "eval").rpartition("/")[0]
        prefix = f"{top}/" if top else ""
        one = f"{prefix}train/instruct.json"
        published = split == "train" and not (folder.root / f"{prefix}train/{train}.json").is_file()
        files = [one if published else f"{prefix}train/{train}.json"]
        if split == "eval":
            here = folder.files(f"{prefix}eval", ".json")
            files = [path for path in here if stem_of(path).lower().startswith(tuple(map(str.lower, evals)))]
        for path in files:
            for place, row in folder.items(path):
                with folder.row(place):
                    if published and not _plain(row.text("dataset")).startswith(
                        _plain(name.removeprefix("teochatlas-"))
                    ):
                        folder.tally.set_aside("row of another data set", place)
                        continue
                    inside = pictures if split == "train" and not published else ""
                    images = _images(folder, row, inside, top)
                    extra = {key: str(row[key]) for key in ("task", "dataset", "polygon") if row.get(key)}
                    identity = f"{stem_of(path)}/{named(row, place)}"
                    yield chat_record(_spoken(row), identity, name, split, images, scale=100, extra=extra)

    splits = [*(["train"] if train else []), "eval"]
    layout = (
        f"train/instruct.json as published, of which rows of this `dataset` are read, or train/{train}.json, one array; "
        if train
        else ""
    )
    layout += f"""eval/{"*.json, eval/".join(evals)}*.json. Both may lie in TEOChatlas/. Pictures by the path in `video` or `image`, relative
    to the data folder, with or without its TEOChatlas/"""
    layout += f"; in train/{train}.json below {pictures}/." if pictures else "."
    source(name, splits=splits, tasks=["conversation"], licence=_LICENCE, layout=layout, held=_HELD)(read)


for _name, _train, _evals, _pictures in (
    ("teochatlas-fmow", "instruct_fMoW", ("fMoW",), ""),
    ("teochatlas-qfabric", "instruct_QFabric", ("QFabric",), ""),
    ("teochatlas-s2looking", "instruct_S2Looking", ("S2Looking",), ""),
    ("teochatlas-xbd", "instruct_xBD", ("xBD",), ""),
    ("teochatlas-geochat", "instruct_GeoChat_modified", ("AID", "UCMerced", "LRBEN", "HRBEN"), "geochat_data/images"),
    ("teochatlas-abcd", "", ("ABCD",), ""),
    ("teochatlas-cdvqa", "", ("CDVQA",), ""),
):
    _register(_name, _train, _evals, _pictures)
