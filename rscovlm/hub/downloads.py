"""What is pulled: one commit, files of known kinds, each held against the checksum that the Hub states."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from rscovlm.files import claim_folder, mark, write_text
from rscovlm.hub.faults import check_repo, hub_faults
from rscovlm.hub.transfers import bounded_waits, download_all
from rscovlm.hub.uploads import RepoKind
from rscovlm.processing.checkpoint_checks import check_checkpoint

SUFFIXES = frozenset(
    [
        ".safetensors",
        ".json",
        ".jsonl",
        ".geojson",
        ".parquet",
        ".yaml",
        ".yml",
        ".jinja",
        ".txt",
        ".md",
        ".png",
        ".jpg",
        ".jpeg",
        ".webp",
        ".tif",
        ".tiff",
    ]
)
"""What a pulled file may be: weights without code, settings, tables, texts and pictures."""
MOST_BYTES = 2**40
"""All files of a repository together by default: above every published vision-language model."""
PULL_FILE = "rscovlm_pull.json"
"""File of a pulled folder that names repository and commit."""
_MOST_FILES = 20_000
_MOST_TEXT = 2**28
_TEXTS = {".json", ".yaml", ".yml", ".jinja", ".txt", ".md"}
_CHUNK = 2**22
_LOGGER = logging.getLogger(__name__)


def pull(
    repo: str,
    folder: str | Path,
    *,
    kind: RepoKind = "model",
    revision: str | None = None,
    patterns: Iterable[str] | None = None,
    required: str | None = None,
    max_bytes: int = MOST_BYTES,
    token: str | None = None,
    endpoint: str | None = None,
) -> Path:
    """Download a repository as it is in one commit; the folder is there when all of it is, verified.

    The revision is resolved once. Files of other kinds than `SUFFIXES` are left out and counted in the log: no code, no
    pickles. What came so far waits in `.<folder>.part` beside the folder, and the same call resumes from it.

    Args:
        repo: `<owner>/<name>`.
        folder: Where to; new or empty.
        kind: Kind of the repository.
        revision: Branch, tag or commit; by default the main branch.
        patterns: Names to fetch, as `fnmatch` reads them; by default all of the known kinds.
        required: A pattern that one of the files must match.
        max_bytes: Largest sum of the files' sizes.
        token: By default the one that `hf auth login` stored.
        endpoint: By default the public Hub.

    Returns:
        The folder.

    Raises:
        ValueError: The folder holds files; names, sizes or numbers of files are out of bounds; a file is not what the Hub
            states; or a model fails `check_checkpoint`.
        FileNotFoundError: There is no such repository or revision, or nothing in it that may be fetched.
        PermissionError: The token may not read it.
        ConnectionError: The Hub or the connection failed; the same call resumes.
    """
    from huggingface_hub import HfApi

    check_repo(repo)
    target = Path(folder)
    _check_target(target)
    api = HfApi(endpoint=endpoint, token=token)
    with hub_faults("pulling", repo, token), bounded_waits() as seconds:
        commit = str(api.repo_info(repo, repo_type=kind, revision=revision, timeout=seconds).sha)
        tree = list(api.list_repo_tree(repo, recursive=True, revision=commit, repo_type=kind))
    wanted = _chosen(repo, [entry for entry in tree if hasattr(entry, "blob_id")], patterns, max_bytes)
    if required is not None and not any(fnmatchcase(name, required) for name in wanted):
        raise FileNotFoundError(f"{repo} holds no {required}; give another repository")
    part = target.absolute().with_name(f".{target.absolute().name[:100]}.part")
    claim_folder(part, "pull")  # what is in it afterwards is ours to resume from, or to delete
    with hub_faults("pulling", repo, token), bounded_waits():
        download_all(api, repo, kind, commit, part, wanted, token)
    for name, entry in wanted.items():
        _verify(part / name, entry, repo)
    _keep_only(part, wanted)
    if kind == "model":
        check_checkpoint(part)
    about = {"generator": mark("pull"), "repo": repo, "kind": kind, "commit": commit}
    write_text(part / PULL_FILE, json.dumps(about, indent=1), "pull")
    if target.is_dir():
        target.rmdir()
    part.rename(target)
    _LOGGER.info("%s at %s: %d files in %s", repo, commit, len(wanted), target)
    return target


def _check_target(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ValueError(f"{target} is there and is no folder; give a new or an empty folder")
    if target.is_dir() and any(target.iterdir()):
        raise ValueError(f"folder {str(target)!r} holds files; give a new or an empty folder")


def _chosen(repo: str, files: list[Any], patterns: Iterable[str] | None, max_bytes: int) -> dict[str, Any]:
    """Return the files to fetch by name, after a look at all names and sizes."""
    shapes = None if patterns is None else tuple(patterns)
    left, chosen = Counter[str](), {}
    for entry in files:
        path = PurePosixPath(entry.path)
        if path.is_absolute() or ".." in path.parts or "\\" in entry.path or ":" in entry.path or "\0" in entry.path:
            raise ValueError(f"{repo} holds the name {entry.path!r}, which leaves the folder; nothing is fetched")
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES or any(one.startswith(".") for one in path.parts):
            left[suffix or path.name] += 1
        elif shapes is None or any(fnmatchcase(entry.path, shape) for shape in shapes):
            if suffix in _TEXTS and entry.size > _MOST_TEXT:
                raise ValueError(f"{repo}: {entry.path} has {entry.size} bytes; a text may have {_MOST_TEXT}")
            chosen[entry.path] = entry
    if left:
        _LOGGER.info("%s: left out by kind: %s", repo, ", ".join(f"{count} {name}" for name, count in left.items()))
    total = sum(entry.size for entry in chosen.values())
    if total > max_bytes or len(chosen) > _MOST_FILES:
        raise ValueError(
            f"{repo} has {total} bytes in {len(chosen)} files; {max_bytes} in {_MOST_FILES} are allowed "
            "(max_bytes, --max-bytes)"
        )
    if not chosen:
        raise FileNotFoundError(f"{repo} holds nothing to fetch (left out: {dict(left)}); give another repository")
    return chosen


def _verify(path: Path, entry: Any, repo: str) -> None:
    """Hold a file against size and checksum; what differs is deleted, so that the next call fetches it again."""
    size = path.stat().st_size if path.is_file() else -1
    if entry.lfs is not None:
        sum_, stated = hashlib.sha256(), entry.lfs.sha256
    else:
        sum_, stated = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False), entry.blob_id
    if size == entry.size:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                sum_.update(chunk)
        if sum_.hexdigest() == stated:
            return
    path.unlink(missing_ok=True)
    raise ValueError(
        f"{entry.path} of {repo} is not what the Hub states (checksum {str(stated)[:12]}, {entry.size} bytes); "
        "it was deleted: do the same again"
    )


def _keep_only(part: Path, wanted: Iterable[str]) -> None:
    """Delete what is not of the commit: the client's notes, and files of an interrupted pull of another commit."""
    shutil.rmtree(part / ".cache", ignore_errors=True)
    names = {*wanted, ".rscovlm"}
    for path in sorted(part.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(part).as_posix() not in names:
            path.unlink()
