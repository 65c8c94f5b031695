"""``rscovlm train RECIPE``: the same run as ``examples/sft.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rscovlm.cli.answers import CommandAnswer, answers
from rscovlm.cli.refusals import refusals
from rscovlm.cli.terminal import log_to_terminal, on_terminal


@answers
def train(
    recipe: Annotated[Path, typer.Argument(help="YAML file of the training recipe.", exists=True, dir_okay=False)],
    root: Annotated[Path, typer.Option(help="Folder that the recipe's records are in.")] = Path("data"),
    output: Annotated[Path, typer.Option(help="Where checkpoints go.")] = Path("runs/sft"),
    resume: Annotated[bool, typer.Option("--resume", help="Resume from the last checkpoint.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, train nothing.")] = False,
) -> CommandAnswer:
    """Fine-tune a Qwen-VL model by a recipe, after checking that its labels decode back to what they say."""
    log_to_terminal("%(message)s")
    with refusals("rscovlm train", extra="train"):
        from rscovlm.training.recipe import TrainingRecipe
        from rscovlm.training.stages import prepare

        wanted = TrainingRecipe.load(recipe)
        quiet = {} if on_terminal() or "disable_tqdm" in wanted.train else {"disable_tqdm": True}
        run = prepare(wanted, root=root, output=output, resume=resume, **quiet)
        if not dry_run:
            run.train()
    done = 0 if dry_run else int(run.trainer.state.global_step)
    return CommandAnswer(
        {"output": output, "trained": not dry_run, "steps": int(run.trainer.args.max_steps), "steps_done": done}
    )
