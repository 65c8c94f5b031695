"""``rscovlm pull REPO FOLDER``: a repository of the Hub, verified, at one commit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from rscovlm.cli import choices
from rscovlm.cli.answers import CommandAnswer, answers
from rscovlm.cli.refusals import refusals


@answers
def pull(
    repo: Annotated[str, typer.Argument(help="OWNER/NAME on the Hub.")],
    folder: Annotated[Path, typer.Argument(help="Where to; new or empty.")],
    kind: Annotated[str, choices.option(choices.PULLED, "What it is there.")] = "model",
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit; by default the main branch.")] = None,
    max_bytes: Annotated[int, typer.Option(min=1, help="Largest sum of the files' sizes.")] = 2**40,
) -> CommandAnswer:
    """Download a repository at one commit; the folder is there when every file is, and is what the Hub states."""
    with refusals("rscovlm pull"):
        from rscovlm.hub.downloads import PULL_FILE
        from rscovlm.hub.downloads import pull as fetch
        from rscovlm.hub.uploads import RepoKind

        if kind not in get_args(RepoKind):
            raise ValueError(f"kind is {kind!r}; give one of {', '.join(get_args(RepoKind))}")
        written = fetch(repo, folder, kind=cast(RepoKind, kind), revision=revision, max_bytes=max_bytes)
        commit = json.loads((written / PULL_FILE).read_bytes())["commit"]
    values = {"repo": repo, "kind": kind, "commit": commit, "folder": written}
    return CommandAnswer(values, f"{repo} at {commit}: {written}")
