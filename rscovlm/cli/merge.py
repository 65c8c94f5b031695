"""``rscovlm merge OUT``: the files of a prediction's shards as one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rscovlm.cli.answers import CommandAnswer, answers
from rscovlm.cli.refusals import refusals


@answers
def merge(
    out: Annotated[Path, typer.Argument(help="File to write: what --out was; it may not exist.")],
    parts: Annotated[
        list[Path] | None, typer.Argument(help="Files of shards; by default those beside OUT, of which none may miss.")
    ] = None,
) -> CommandAnswer:
    """Merge the files of `predict --shard`; run predict without --shard afterwards to check and fill the gaps."""
    from rscovlm.predicting.shards import merge_shards, parts_of

    with refusals("rscovlm merge"):
        counts = merge_shards(parts or parts_of(out), out)
    doubled = f", {counts['doubled']} ids in several files" if counts["doubled"] else ""
    return CommandAnswer({"out": out, **counts}, f"{counts['rows']} rows, {counts['errors']} errors{doubled}: {out}")
