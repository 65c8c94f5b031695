"""What is pushed: a list of files, looked at as a whole first, then sent as one commit."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from rscovlm.hub.faults import check_repo, holds_token, hub_faults
from rscovlm.hub.transfers import bounded_waits, upload_large

RepoKind = Literal["model", "dataset", "space"]
"""Kinds of repositories on the Hub."""

_LOGGER = logging.getLogger(__name__)
_SCANNED = 2**26
"""Bytes up to which a text file is searched for tokens: far above every text that is written by us."""
_WEIGHTS = (".safetensors", ".parquet")


@dataclass(frozen=True)
class HubUpload:
    """What a push sends, or would send.

    Attributes:
        repo: `<owner>/<name>`.
        kind: Kind of the repository.
        files: Path in the repository -> a file here, or the bytes themselves.
        card: Text of `README.md`.
        left_out: Files of the folder that are not sent, with the reason.
        stale: Patterns of files that are removed from the repository where this push does not bring them again: what is
            left of an earlier push would be loaded with what is new.
        address: Of the commit; empty until it is sent.
    """

    repo: str
    kind: RepoKind
    files: Mapping[str, Path | bytes]
    card: str
    left_out: Mapping[str, str] = field(default_factory=dict)
    stale: tuple[str, ...] = ()
    address: str = ""

    def table(self) -> str:
        """Return one line a file, with its size in bytes, and what is left out and why."""
        lines = [f"{_size(source):>14,}  {path}" for path, source in sorted(self.files.items())]
        lines.append(f"{sum(map(_size, self.files.values())):>14,}  bytes in {len(self.files)} files for {self.repo}")
        return "\n".join([*lines, *(f"{'left out':>14}  {name}: {why}" for name, why in sorted(self.left_out.items()))])

    def to_dict(self) -> dict[str, Any]:
        """Return the files with their sizes in bytes, what is left out and why, and the card as plain values."""
        return {
            "repo": self.repo,
            "kind": self.kind,
            "files": {path: _size(source) for path, source in sorted(self.files.items())},
            "left_out": dict(sorted(self.left_out.items())),
            "card": self.card,
            "address": self.address,
        }

    def check(self, token: str | None = None) -> None:
        """Refuse files that hold an access token.

        Args:
            token: The token in use.

        Raises:
            ValueError: One does, which the message names, or `repo` is no name of a repository.
        """
        check_repo(self.repo)
        for path, source in sorted(self.files.items()):
            if path.endswith(_WEIGHTS) or _size(source) > _SCANNED:
                continue
            if holds_token(source if isinstance(source, bytes) else source.read_bytes(), token):
                raise ValueError(f"{path} holds an access token of the Hub, so nothing is pushed; take it out")


def send(
    upload: HubUpload,
    *,
    message: str,
    private: bool = True,
    revision: str | None = None,
    token: str | None = None,
    endpoint: str | None = None,
    dry_run: bool = False,
) -> HubUpload:
    """Send an upload as one commit, so that the repository is the one before or the new one, never between.

    Large files go first, to a store that no reader sees; a second call sends only those that are not there yet.

    Args:
        upload: What to send.
        message: The commit's.
        private: Make a new repository private; one that is there stays as it is.
        revision: Branch; by default the main one.
        token: By default the one that `hf auth login` stored.
        endpoint: By default the public Hub.
        dry_run: Send nothing; the files are looked at all the same.

    Returns:
        The upload, with the commit's address where it was sent.

    Raises:
        ValueError: A file holds a token.
        FileNotFoundError: See `hub_faults`.
        PermissionError: See `hub_faults`.
        ConnectionError: The Hub failed and nothing was committed, or another push came between.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token

    upload.check(token or get_token())
    if dry_run:
        return upload
    api = HfApi(endpoint=endpoint, token=token)
    space = {"space_sdk": "gradio"} if upload.kind == "space" else {}
    with hub_faults("pushing", upload.repo, token), bounded_waits() as seconds, ExitStack() as opened:
        api.create_repo(upload.repo, repo_type=upload.kind, private=private, exist_ok=True, **space)
        about = api.repo_info(upload.repo, repo_type=upload.kind, revision=revision, timeout=seconds)
        there = [sibling.rfilename for sibling in about.siblings or ()]
        gone = [name for name in there if name not in upload.files and _matches(name, upload.stale)]
        if gone:
            _LOGGER.info("%s: removed with this commit: %s", upload.repo, ", ".join(gone))
        additions = [
            CommitOperationAdd(path, source if isinstance(source, bytes) else str(source))
            for path, source in sorted(upload.files.items())
        ]
        additions = upload_large(api, upload.repo, additions, opened, repo_type=upload.kind, revision=revision)
        commit = api.create_commit(
            upload.repo,
            [*map(CommitOperationDelete, gone), *additions],
            commit_message=message,
            repo_type=upload.kind,
            revision=revision,
            parent_commit=about.sha if about.sha else None,
        )
    return replace(upload, address=str(commit.commit_url))


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(name.count("/") == pattern.count("/") and fnmatchcase(name, pattern) for pattern in patterns)


def _size(source: Path | bytes) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size
