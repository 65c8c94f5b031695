"""Spaces on the Hub: pages that run, and metrics that `evaluate.load` finds by name."""

from __future__ import annotations

import ast
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from rscovlm.files import write_text
from rscovlm.hub.uploads import HubUpload, send
from rscovlm.metrics.spaces import NAMES
from rscovlm.metrics.spaces.files import space_files

_SUFFIXES = frozenset(
    [
        ".py",
        ".md",
        ".txt",
        ".yaml",
        ".yml",
        ".json",
        ".jinja",
        ".css",
        ".js",
        ".html",
        ".png",
        ".jpg",
        ".jpeg",
        ".webp",
        ".svg",
        ".geojson",
    ]
)
_MOST_BYTES = 2**28


def push_space(
    folder: str | Path,
    repo: str,
    *,
    message: str = "Add the Space",
    private: bool = True,
    revision: str | None = None,
    token: str | None = None,
    endpoint: str | None = None,
    dry_run: bool = False,
) -> HubUpload:
    """Push the folder of a Space as one commit.

    Hidden files, caches, tests and files of other kinds than texts, code and pictures stay here.

    Args:
        folder: Holds `README.md`, whose head names `sdk` and `app_file`, and that file.
        repo: `<owner>/<name>`, made if it is not there.
        message: The commit's.
        private: Make a new repository private.
        revision: Branch; by default the main one.
        token: By default the one that `hf auth login` stored.
        endpoint: By default the public Hub.
        dry_run: Send nothing; what would be sent is returned.

    Returns:
        What was sent, with the commit's address, or would be.

    Raises:
        ValueError: The head is not one of a Space, its file is not there, or a file is too large or holds a token.
        FileNotFoundError: There is no such folder, or no `README.md` in it.
        PermissionError: The token may not write there.
        ConnectionError: The Hub failed; nothing was committed, and the same call resumes.
    """
    source = Path(folder)
    card = source / "README.md"
    if not card.is_file():
        raise FileNotFoundError(f"{card} is not there; a Space needs one whose head names sdk and app_file")
    head = _head(card)
    if head.get("sdk") != "gradio" or not (source / str(head.get("app_file", "app.py"))).is_file():
        raise ValueError(
            f"{card}: sdk is {head.get('sdk')!r} with app_file {head.get('app_file')!r}; give gradio and a file"
        )
    files: dict[str, Path | bytes] = {}
    left = {}
    for path in sorted(one for one in source.rglob("*") if one.is_file()):
        name = path.relative_to(source)
        if any(part.startswith((".", "__")) for part in name.parts[:-1]) or name.name.startswith("."):
            continue
        if path.suffix not in _SUFFIXES or name.name.startswith("test_"):
            left[name.as_posix()] = "no part of a Space"
        elif path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"{path} has {path.stat().st_size} bytes; a file of a Space may have {_MOST_BYTES}")
        else:
            files[name.as_posix()] = path
    upload = HubUpload(repo, "space", files, card.read_text(encoding="utf-8"), left, ("*.py",))
    how: dict[str, Any] = {"private": private, "revision": revision, "token": token, "endpoint": endpoint}
    return send(upload, message=message, dry_run=dry_run, **how)


def write_metric(name: str, folder: str | Path) -> Path:
    """Write the Space of one of our metrics, which `evaluate.load(folder)` then loads.

    Args:
        name: One of `rscovlm.metrics.spaces.NAMES`.
        folder: A new folder, whose last part should be the name: `evaluate` looks for the module of that name.

    Returns:
        The folder.

    Raises:
        ValueError: No such metric exists, or the folder holds files.
    """
    texts, place = space_files(name), Path(folder)
    if place.is_dir() and any(place.iterdir()):
        raise ValueError(f"{place} holds files already; give a new folder")
    place.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        write_text(place / file, text)
    return place


def push_metric(metric: str | Path, repo: str, **options: Any) -> HubUpload:
    """Push the Space of a metric, which `evaluate.load(repo)` then loads by name.

    Args:
        metric: Name of one of ours (`rscovlm.metrics.spaces.NAMES`), or a folder as for `push_space` with the module
            `<name>.py`, named like the repository.
        repo: `<owner>/<name>`.
        options: As for `push_space`.

    Returns:
        What was sent, or would be.

    Raises:
        ValueError: The module is not there, is no module of `evaluate`, or what `push_space` refuses.
        FileNotFoundError: See `push_space`.
        PermissionError: See `push_space`.
        ConnectionError: See `push_space`.
    """
    name = repo.rpartition("/")[2]
    if str(metric) in NAMES and not Path(metric).is_dir():
        with tempfile.TemporaryDirectory() as room:
            upload = push_metric(write_metric(str(metric), Path(room) / str(metric)), repo, **options)
        # The folder is gone; what was sent stays in the upload as bytes.
        return replace(upload, files={file: text.encode() for file, text in space_files(str(metric)).items()})
    folder = Path(metric)
    module = Path(folder) / f"{name}.py"
    if not module.is_file():
        raise ValueError(
            f"{module} is not there; evaluate looks for {name}.py in {repo}, so give a repository of its name"
        )
    try:
        tree = ast.parse(module.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ValueError(f"{module} is not Python ({error}); correct it") from error
    bases = [ast.unparse(base) for node in tree.body if isinstance(node, ast.ClassDef) for base in node.bases]
    if "evaluate.Metric" not in bases:
        raise ValueError(f"{module} has no class on evaluate.Metric; give the folder of a metric, or push a Space")
    return push_space(folder, repo, **options)


def _head(card: Path) -> dict[str, Any]:
    parts = card.read_text(encoding="utf-8").split("---\n", 2)
    head = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0].strip() else None
    if not isinstance(head, dict):
        raise ValueError(f"{card} has no head between lines of ---; a Space needs sdk and app_file there")
    return head
