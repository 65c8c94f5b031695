"""The command line: ``rscovlm demo``, ``rscovlm data ...`` and the rest."""

from __future__ import annotations

from typing import Annotated

import typer

from rscovlm import __version__
from rscovlm.cli.data import app as data
from rscovlm.cli.demo import demo
from rscovlm.cli.doctor import doctor
from rscovlm.cli.eval import evaluate, peers, score
from rscovlm.cli.export import export
from rscovlm.cli.mcp import mcp
from rscovlm.cli.merge import merge
from rscovlm.cli.predict import predict
from rscovlm.cli.pull import pull
from rscovlm.cli.push import push
from rscovlm.cli.serve import serve
from rscovlm.cli.terminal import say
from rscovlm.cli.train import train
from rscovlm.cli.wording import app as wording

app = typer.Typer(
    name="rscovlm",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"rscovlm {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Remote-sensing vision-language models: data, training, zooming, detection, metrics."""


app.command()(demo)
app.command()(train)
app.command()(export)
app.command()(predict)
app.command()(merge)
app.command("eval")(evaluate)
app.command()(score)
app.command()(peers)
app.command()(serve)
app.command()(mcp)
app.command()(push)
app.command()(pull)
app.command()(doctor)
app.add_typer(data, name="data")
app.add_typer(wording, name="wording")
