"""The data of a benchmark from the Hub: records that `push_dataset` pushed, fetched once a commit."""

from __future__ import annotations

import re
from pathlib import Path

_REPO = re.compile(r"[\w.-]+/[\w.-]+(?:@[\w./-]+)?")


def data_folder(data: str | Path, *, endpoint: str | None = None, token: str | None = None) -> Path:
    """Return the folder that ``--data`` names: itself, or that of a data set repository on the Hub, fetched if it is not there.

    A repository is kept in ``rscovlm/datasets`` of Hugging Face's cache folder, a folder a commit, so that a moved branch is fetched anew.

    Args:
        data: A folder, or ``<owner>/<name>``, ``<owner>/<name>@<revision>`` where there is no such folder.
        endpoint: By default the public Hub.
        token: By default the one that `hf auth login` stored.

    Raises:
        FileNotFoundError: There is no such folder, nor a repository of records.
        ValueError: What the Hub gave is not what it states; see `rscovlm.hub.pull`.
        PermissionError: The token may not read it.
        ConnectionError: The Hub or the connection failed; the same call resumes.
    """
    folder = Path(data)
    if folder.is_dir() or not _REPO.fullmatch(str(data)):
        return folder
    from huggingface_hub import HfApi
    from huggingface_hub.constants import HF_HOME
    from huggingface_hub.utils import WeakFileLock

    from rscovlm.hub import pull_records
    from rscovlm.hub.faults import hub_faults

    repo, _, revision = str(data).partition("@")
    with hub_faults("pulling", repo, token):
        commit = (
            HfApi(endpoint=endpoint, token=token).repo_info(repo, repo_type="dataset", revision=revision or None).sha
        )
    kept = Path(HF_HOME) / "rscovlm" / "datasets" / f"{repo.replace('/', '--')}@{commit}"
    if not kept.is_dir():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(kept.with_name(f".{kept.name}.lock")):  # shards may begin at the same time
            if not kept.is_dir():
                pull_records(repo, kept, revision=commit, endpoint=endpoint, token=token)
    return kept
