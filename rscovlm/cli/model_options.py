"""Options that several commands share, the model and its limits: each is defined once, so that it means the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

from rscovlm.cli import choices

ModelOption = Annotated[str | None, typer.Option(help="Checkpoint; the embedded model's by default.")]
RevisionOption = Annotated[str | None, typer.Option(help="Branch, tag or commit of a checkpoint on the Hub.")]
DeviceOption = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps; by default a GPU if there is one.")]
DtypeOption = Annotated[str, choices.option(choices.DTYPES, "Type of the weights; auto: the checkpoint's.")]
MaxPixelsOption = Annotated[
    int | None, typer.Option(min=1, help="Largest picture the model sees, in pixels; the checkpoint's by default.")
]
DialectOption = Annotated[
    str | None,
    typer.Option(
        help="How the model writes and is asked: a preset or a YAML file.",
        autocompletion=choices.known("rscovlm.codec.dialect:presets"),
    ),
]
WordingOption = Annotated[str | None, typer.Option(help="YAML file of which only the words are taken.")]
ProcessorOption = Annotated[
    str | None, typer.Option(help="The checkpoint that --server serves, where it is not rscovlm serve.")
]
BudgetOption = Annotated[
    str | None,
    typer.Option(help="Its pixels alone: least,largest[,side of a token], such as 50176,1016064; goes with --dialect."),
]
ProbeOption = Annotated[bool, typer.Option(help="Check the budget of --server with two pictures.")]

# What one request or call may ask for, where the model answers others.
MaxTilesOption = Annotated[int, typer.Option(min=1, help="Tiles of one detection at most.")]
MaxTokensOption = Annotated[int, typer.Option(min=1, help="Generated tokens of one reply of the model at most.")]
MaxStepsOption = Annotated[int, typer.Option(min=1, help="Windows shown for one question at most.")]
MaxVisualTokensOption = Annotated[int, typer.Option(min=1, help="Visual tokens for one question at most.")]
