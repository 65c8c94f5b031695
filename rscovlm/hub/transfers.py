"""Large files to and from the Hub: by its Xet store, by Git LFS and plain HTTP where that store fails, and never waiting for ever."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rscovlm.files import replacing
from rscovlm.hub.faults import redacted

SILENCE = 120.0
"""Seconds that the Hub may be silent during a push; its own gateway gives up after a minute."""
_LOGGER = logging.getLogger(__name__)


@contextmanager
def bounded_waits() -> Iterator[float]:
    """Bound how long the Hub's client waits for a silent Hub while the block runs; give the seconds.

    For downloads the client has limits of its own (`HF_HUB_DOWNLOAD_TIMEOUT`); for anything else it has none and would wait
    for ever. A limit that somebody set stays. Where a call of the client has a `timeout`, which is none by default, give it too.
    """
    from huggingface_hub import get_session

    client = get_session()
    before = client.timeout
    if before.read is None:
        client.timeout = SILENCE
    try:
        yield SILENCE
    finally:
        client.timeout = before


def upload_large(api: Any, repo: str, additions: list[Any], opened: ExitStack, **options: Any) -> list[Any]:
    """Send what is large ahead of the commit, by Xet, or by Git LFS where Xet fails.

    The client takes Xet wherever `hf_xet` is installed and does not turn to Git LFS by itself, so a Hub that has no Xet store, or
    a network that does not let it through, would end every push. It sends files that are open by Git LFS.

    Args:
        api: The client's `HfApi`.
        repo: `<owner>/<name>`.
        additions: Its `CommitOperationAdd`, with paths or bytes.
        opened: Keeps files open until the commit is made.
        options: As for `HfApi.preupload_lfs_files`.

    Returns:
        What to commit.
    """
    from huggingface_hub import CommitOperationAdd

    sources = [(one.path_in_repo, one.path_or_fileobj) for one in additions]
    try:
        api.preupload_lfs_files(repo, additions, **options)
    except (OSError, RuntimeError) as error:
        if not _of_xet(error):
            raise
        _LOGGER.warning("%s: the Xet store failed (%s); large files go by Git LFS", repo, redacted(str(error)[:300]))
    else:
        return additions
    again = []
    for name, source in sources:
        content = io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")  # noqa: SIM115  the stack does
        again.append(CommitOperationAdd(name, opened.enter_context(content)))
    api.preupload_lfs_files(repo, again, **options)
    return again


def download_all(
    api: Any, repo: str, kind: str, commit: str, part: Path, wanted: Mapping[str, Any], token: str | None
) -> None:
    """Fetch the files of a commit that are not in a folder yet, by Xet, or from the Hub's own addresses where Xet fails.

    Args:
        api: The client's `HfApi`.
        repo: `<owner>/<name>`.
        kind: Kind of the repository.
        commit: Which one.
        part: The folder.
        wanted: Path in the repository -> what the Hub lists of it, checked names alone.
        token: By default the one that `hf auth login` stored.
    """
    from glob import escape

    from huggingface_hub import hf_hub_url, snapshot_download
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    where = {"repo_type": kind, "revision": commit, "endpoint": api.endpoint}
    shapes = [escape(name) for name in wanted]
    try:
        snapshot_download(repo, local_dir=part, allow_patterns=shapes, token=token, max_workers=4, **where)
    except (OSError, RuntimeError) as error:
        if not _of_xet(error):
            raise
        _LOGGER.warning("%s: the Xet store failed (%s); files come by HTTP", repo, redacted(str(error)[:300]))
    else:
        return
    headers = build_hf_headers(token=token)
    for name, entry in wanted.items():
        target = part / name
        if target.is_file() and target.stat().st_size == entry.size:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target, overwrite=True) as partial, partial.open("wb") as file:
            http_get(hf_hub_url(repo, name, **where), file, headers=headers, expected_size=entry.size)


def _of_xet(error: BaseException) -> bool:
    """Tell whether `hf_xet` failed: it raises Python's own errors, the client's HTTP ones of its own."""
    plain = type(error) in (ConnectionError, OSError, PermissionError, RuntimeError, TimeoutError)
    return plain and getattr(error, "errno", None) is None
