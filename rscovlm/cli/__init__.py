"""The command line: ``rscovlm demo``, ``rscovlm data ...`` and the rest."""

from __future__ import annotations

import typer

from rscovlm.cli.data import app as data
from rscovlm.cli.demo import demo
from rscovlm.cli.predict import predict
from rscovlm.cli.serve import serve
from rscovlm.cli.train import train

app = typer.Typer(
    name="rscovlm",
    help="Remote-sensing vision-language models: data, training, zooming, detection, metrics.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None:
    """Remote-sensing vision-language models: data, training, zooming, detection, metrics."""


app.command()(demo)
app.command()(train)
app.command()(predict)
app.command()(serve)
app.add_typer(data, name="data")
