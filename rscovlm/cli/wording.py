"""``rscovlm wording``: the words that a checkpoint is asked in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
import yaml

from rscovlm.cli.answers import CommandAnswer, answers
from rscovlm.cli.refusals import refusals

app = typer.Typer(no_args_is_help=True, help="The words that a checkpoint is asked in.")


@app.command()
@answers
def read(
    clone: Annotated[Path, typer.Argument(help="Folder of a local clone of the reference repository.")],
    out: Annotated[Path, typer.Option(help="YAML file to write.")] = Path("wording.yaml"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file where it exists.")] = False,
) -> CommandAnswer:
    """Write the words of released RSCoVLM checkpoints as a dialect, from a local clone that is parsed and never run."""
    from rscovlm.codec.dialect import Dialect
    from rscovlm.codec.reference_wording import read_reference
    from rscovlm.files import check_output, write_text

    with refusals("rscovlm wording"):
        check_output(out, overwrite=overwrite)
        found = read_reference(clone)
        Dialect.from_dict(found)  # what is written can be read
        text = yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=120)
        write_text(out, text, overwrite=overwrite)
    return CommandAnswer({"out": out, "dialect": found}, f"{out}: ask with it by --dialect {out}")


@app.command()
@answers
def show(dialect: Annotated[str, typer.Argument(help="Name of a preset, or a YAML file.")]) -> CommandAnswer:
    """Print a dialect as YAML, every text that it asks with written out."""
    from rscovlm.codec.dialect import Dialect

    with refusals("rscovlm wording"):
        values = Dialect.load(dialect).to_dict()
    return CommandAnswer(values, yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120).rstrip())
