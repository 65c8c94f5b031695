"""``rscovlm push KIND FOLDER REPO``: a model, a data set, a metric or a Space to the Hub."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from rscovlm.cli import choices
from rscovlm.cli.answers import CommandAnswer, answers
from rscovlm.cli.refusals import refusals


@answers
def push(
    kind: Annotated[str, choices.argument(choices.PUSHED, "What SOURCE is.")],
    source: Annotated[
        Path,
        typer.Argument(
            help="Folder of a run, checkpoint, adapter, records as Parquet, or Space; or one of our metrics' names."
        ),
    ],
    repo: Annotated[str, typer.Argument(help="OWNER/NAME on the Hub; made, and private, if it is not there.")],
    licence: Annotated[
        str | None, typer.Option(help="Identifier for the card, such as apache-2.0; needed for data.")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="Model: the run that SOURCE was exported from.")] = None,
    evaluation: Annotated[list[Path] | None, typer.Option(help="Model: folders that eval wrote, for the card.")] = None,
    base: Annotated[str | None, typer.Option(help="Adapter: its base's name on the Hub.")] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Adapter: add it into its model first; push that.")] = False,
    public: Annotated[bool, typer.Option("--public", help="Make a new repository public.")] = False,
    revision: Annotated[str | None, typer.Option(help="Branch to push to; by default the main one.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print every file and the card; send nothing.")] = False,
) -> CommandAnswer:
    """Push a folder as one commit: all of it is on the Hub afterwards, or nothing has changed there."""
    options: dict[str, Any] = {"private": not public, "revision": revision, "dry_run": dry_run}
    with refusals("rscovlm push", extra="train" if merge else None):
        if kind not in choices.PUSHED:
            raise ValueError(f"kind is {kind!r}; give one of {', '.join(choices.PUSHED)}")
        from rscovlm.hub import push_dataset, push_metric, push_model, push_space

        with tempfile.TemporaryDirectory() as room:
            if kind == "model":
                options |= {"licence": licence, "base": base, "evaluations": evaluation or []}
                exported = source
                if merge:
                    from rscovlm.training.exporting import export

                    exported, run = export(str(source), Path(room) / "merged"), run or source
                upload = push_model(exported, repo, run=run, **options)
            elif kind == "dataset":
                if licence is None:
                    raise ValueError("data need a licence on their card; give --licence, such as cc-by-4.0 or other")
                upload = push_dataset(source, repo, licence=licence, **options)
            else:
                upload = (push_metric if kind == "metric" else push_space)(source, repo, **options)
            # Sizes are those of files, and merged ones are gone afterwards.
            table, values = upload.table(), upload.to_dict()
    card = f"\n{upload.card}\n" if dry_run else ""
    ending = f"pushed: {upload.address}" if upload.address else "dry run: nothing was sent"
    return CommandAnswer(values, f"{table}\n{card}{ending}")
