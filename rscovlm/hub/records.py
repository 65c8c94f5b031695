"""Records on the Hub: an ordinary data set repository that `load_dataset` and the viewer read without us."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rscovlm.data.storage import read_parquet
from rscovlm.hub.downloads import pull
from rscovlm.hub.model_card import cell, in_one_line
from rscovlm.hub.uploads import HubUpload, send
from rscovlm.records.record import Record
from rscovlm.tasks.table import task_of

_SHARDS = "data/*-*-of-*.parquet"
_ROWS = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)


def push_dataset(
    folder: str | Path,
    repo: str,
    *,
    licence: str,
    message: str = "Add records",
    private: bool = True,
    revision: str | None = None,
    token: str | None = None,
    endpoint: str | None = None,
    dry_run: bool = False,
) -> HubUpload:
    """Push a folder that `write_parquet` wrote, with a card, in one commit.

    Args:
        folder: Holds `data/<split>-*.parquet`; only these and the card are uploaded. A `README.md` in it is used as it is.
        repo: `<owner>/<name>` of the data set, made if it is not there. Its shards that this push does not bring are removed.
        licence: Identifier for the card (such as `cc-by-4.0`, or `other`): the data's, not this library's.
        message: The commit's.
        private: Make a new repository private.
        revision: Branch; by default the main one.
        token: By default the one that `hf auth login` stored.
        endpoint: By default the public Hub.
        dry_run: Send nothing; what would be sent is returned.

    Returns:
        What was sent, with the commit's address, or would be.

    Raises:
        FileNotFoundError: There are no shards in `folder`.
        ValueError: A shard cannot be read.
        PermissionError: The token may not write there.
        ConnectionError: The Hub failed; nothing was committed, and the same call resumes.
    """
    base = Path(folder)
    own = base / "README.md"
    card = own.read_text(encoding="utf-8") if own.is_file() else dataset_card(read_parquet(base), repo, licence)
    shards = sorted((base / "data").glob("*-*-of-*.parquet"))
    if not shards:
        raise FileNotFoundError(
            f"there are no shards data/<split>-*.parquet in {base}; give a folder that convert wrote"
        )
    files: dict[str, Path | bytes] = {f"data/{shard.name}": shard for shard in shards}
    files["README.md"] = card.encode()
    upload = HubUpload(repo, "dataset", files, card, {}, (_SHARDS,))
    how: dict[str, Any] = {"private": private, "revision": revision, "token": token, "endpoint": endpoint}
    return send(upload, message=message, dry_run=dry_run, **how)


def pull_records(repo: str, folder: str | Path, **options: Any) -> Path:
    """Download the shards of a data set repository; read them with `read_parquet`.

    Args:
        repo: `<owner>/<name>`.
        folder: Where to, new or empty; its `data/` holds the shards afterwards.
        options: As for `pull`.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: The repository has no shards where records keep them.
        ValueError: See `pull`.
        PermissionError: See `pull`.
        ConnectionError: See `pull`.
    """
    try:
        return pull(repo, folder, kind="dataset", patterns=(_SHARDS, "README.md"), required=_SHARDS, **options)
    except FileNotFoundError as error:
        if _SHARDS not in str(error):
            raise
        raise FileNotFoundError(f"data set {repo!r} has no data/<split>-*.parquet; it does not hold records") from error


def dataset_card(records: Iterable[Record], repo: str, licence: str) -> str:
    """Write the card of a set of records: what is in it, counted from the records themselves."""
    from huggingface_hub import DatasetCardData

    splits: Counter[str] = Counter()
    tasks: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    embedded = 0
    for record in records:
        splits[record.split] += 1
        tasks[record.task] += 1
        sources[record.source] += 1
        embedded += any(image.data is not None for image in record.images)
    total = splits.total()
    size = next((name for bound, name in _ROWS if total < bound), "n>10M")
    categories = sorted({task_of(task).category for task in tasks})
    head = DatasetCardData(
        license=in_one_line(licence),
        tags=["remote-sensing", "rscovlm"],
        task_categories=categories,
        size_categories=[size],
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits],
            }
        ],
    )
    lines = ["---", head.to_yaml(), "---", "", f"# {repo.rpartition('/')[2]}", ""]
    lines.append(
        f"{total} records, {embedded} of them with the images in the shards. Boxes are in pixels of the original images."
    )
    for title, counts in (("Split", splits), ("Task", tasks), ("Source", sources)):
        lines += [
            "",
            f"| {title} | Records |",
            "|---|---|",
            *(f"| {cell(in_one_line(name))} | {count} |" for name, count in counts.most_common()),
        ]
    lines += ["", "```python", "from datasets import load_dataset", "from rscovlm.records.record import Record", ""]
    lines += [f'for row in load_dataset("{repo}", split="{next(iter(splits), "train")}", streaming=True):']
    lines += ["    record = Record.from_dict(row)", "```", ""]
    return "\n".join(lines)
