"""`rscovlm data`: convert published data sets to records, clean them, and look for faults."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rscovlm.cli import choices
from rscovlm.cli.answers import CommandAnswer, answers
from rscovlm.cli.model_options import DeviceOption, ModelOption
from rscovlm.cli.refusals import refusals
from rscovlm.cli.terminal import ProgressBar, counting, say

if TYPE_CHECKING:
    from rscovlm.data.sources.registry import Source
    from rscovlm.quality.findings import Report

app = typer.Typer(help="Convert data sets to records, clean them, look for faults.", no_args_is_help=True)

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that are there and are not ours.")]
Limit = Annotated[float, typer.Option(help="Largest share of unusable rows, 0 to 1.", min=0, max=1)]


@app.command()
@answers
def sources(name: Annotated[str | None, typer.Argument(help="Show one source in full.")] = None) -> CommandAnswer:
    """List the data sets that can be converted."""
    from rscovlm.data.sources import find_source
    from rscovlm.data.sources import sources as table

    if name is None:
        known = table().values()
        lines = [f"{one.name:<22}{', '.join(one.tasks):<34}{', '.join(one.splits)}" for one in known]
        return CommandAnswer({"sources": [_source(one) for one in known]}, "\n".join(lines))
    with refusals("rscovlm data"):
        entry = find_source(name)
    lines = [entry.name, f"tasks    {', '.join(entry.tasks)}", f"splits   {', '.join(entry.splits)}"]
    lines += [f"licence  {entry.licence}", f"layout   {entry.layout}"]
    lines += [f"held against  {entry.held}"] if entry.held else []
    return CommandAnswer(_source(entry), "\n".join(lines))


def _source(entry: Source) -> dict[str, Any]:
    """Return a source as plain values, its reader aside."""
    return {name: value for name, value in vars(entry).items() if name != "read"}


@app.command()
@answers
def unpack(
    archives: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Zip or tar archives.")],
    folder: Annotated[Path, typer.Argument(help="Where to; files that are there already are an error.")],
) -> CommandAnswer:
    """Unpack archives as published, after a look at every member: none may leave the folder, be a link, or be a bomb."""
    from rscovlm.data.archives import unpack_all

    with refusals("rscovlm data"):
        written = unpack_all(archives, folder, progress=ProgressBar("files"))
    counts = [(archive.name, len(names)) for archive, names in zip(archives, written, strict=True)]
    values = [{"archive": name, "files": count} for name, count in counts]
    return CommandAnswer(
        {"folder": folder, "archives": values}, "\n".join(f"{name}: {count} files" for name, count in counts)
    )


@app.command()
@answers
def convert(
    name: Annotated[
        str,
        typer.Argument(
            help="A source of `rscovlm data sources`.", autocompletion=choices.known("rscovlm.data.sources:sources")
        ),
    ],
    root: Annotated[Path, typer.Argument(help="Folder the data set was unpacked into.")],
    target: Annotated[Path, typer.Argument(help="A .jsonl file, or a folder for Parquet shards.")],
    split: Annotated[str, typer.Option(help="Split to read.")] = "train",
    embed: Annotated[bool, typer.Option(help="Put the images into the shards.")] = False,
    limit: Limit = 0.005,
    overwrite: Overwrite = False,
) -> CommandAnswer:
    """Convert one split of a published data set to records."""
    from rscovlm.data.sources import convert as read
    from rscovlm.data.storage import check_records_output, embedded, write_records
    from rscovlm.records.tally import Tally

    tally = Tally(limit)
    with refusals("rscovlm data"):
        check_records_output(target, overwrite=overwrite)
        records = counting(read(name, root, split, tally=tally), "records")
        write_records((embedded(record, root) for record in records) if embed else records, target, overwrite=overwrite)
    return CommandAnswer({"target": target, "records": tally.to_dict()}, tally.table())


@app.command()
@answers
def draw(
    folder: Annotated[Path, typer.Argument(help="A new or an empty folder.")],
    count: Annotated[int, typer.Option(min=1, help="Scenes to train on.")] = 12,
    held: Annotated[int, typer.Option(min=1, help="Scenes to measure on.")] = 4,
    classes: Annotated[str, typer.Option(help="Class names, separated by commas.")] = "plane, ship, tank",
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other scenes.")] = 0,
) -> CommandAnswer:
    """Draw scenes as a data set to try commands on: pictures with map coordinates, COCO, a manifest, pairs."""
    from rscovlm.scenes import write_data_set

    with refusals("rscovlm data"):
        names = tuple(name.strip() for name in classes.split(",") if name.strip())
        write_data_set(folder, count=count, held=held, classes=names, seed=seed)
    values = {"folder": folder, "count": count, "held": held, "classes": names}
    return CommandAnswer(values, f"{count} scenes to train on, {held} to measure on: {folder}")


@app.command()
@answers
def clean(
    records: Annotated[Path, typer.Argument(help="A .jsonl file, a shard, or a folder of shards.")],
    target: Annotated[Path, typer.Argument(help="A .jsonl file, or a folder for Parquet shards.")],
    rules: Annotated[Path | None, typer.Option(help="Rules instead of the shipped ones.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write what changed as JSON.")] = None,
    limit: Limit = 0.005,
    overwrite: Overwrite = False,
) -> CommandAnswer:
    """Turn task tags into words and boxes in texts into structure; correct punctuation and typos."""
    from rscovlm.data.storage import check_records_output, read_records, write_records
    from rscovlm.files import check_output, mark, write_text
    from rscovlm.quality.cleaning import Cleaner, survey
    from rscovlm.records.tally import Tally

    tally = Tally(limit)
    with refusals("rscovlm data"):
        check_records_output(target, overwrite=overwrite)
        if report is not None:
            check_output(report, "cleaning", overwrite=overwrite)
        guesses = survey(counting(read_records(records, tally=Tally(1.0)), "records looked at"))
        for source, guess in guesses.items():
            sure = "" if guess.certain else " (uncertain: left as text)"
            say(f"{source}: boxes in texts are {f'shares of {guess.scale}' if guess.scale else 'pixels'}{sure}")
        scales = {source: guess.scale for source, guess in guesses.items() if guess.certain}
        corners = {source: guess.corners for source, guess in guesses.items()}
        cleaner = Cleaner(rules, scales=scales, corners=corners)
        cleaned = cleaner.clean_all(tally.checked(read_records(records, tally=tally)))
        write_records(counting(cleaned, "records"), target, overwrite=overwrite)
        if report is not None:
            changes = {"generator": mark("cleaning"), **cleaner.report()}
            write_text(report, json.dumps(changes, ensure_ascii=False, indent=1), "cleaning", overwrite=overwrite)
    values = {"target": target, "changes": cleaner.report(), "records": tally.to_dict()}
    values["boxes"] = {source: asdict(guess) for source, guess in guesses.items()}
    return CommandAnswer(values, f"{cleaner.table()}\n{tally.table()}")


@app.command()
@answers
def lint(
    records: Annotated[
        list[Path], typer.Argument(help=".jsonl files, shards, or folders of shards; all splits at once.")
    ],
    root: Annotated[Path | None, typer.Option(help="Data folder; without it files are not looked at.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for lint.json, the page lint.html and pictures of the worst cases.")
    ] = None,
    pixels: Annotated[bool, typer.Option(help="Compare images, for duplicates and leaks.")] = True,
    crops: Annotated[bool, typer.Option(help="Look for crops of one scene too: reads every image whole.")] = True,
    looks: Annotated[
        Path | None,
        typer.Option(help="File of what pictures look like: those in it are not read again to be compared."),
    ] = None,
    scales: Annotated[bool, typer.Option(help="Look for crops at up to twice or half the scale too.")] = True,
    evidence: Annotated[
        bool,
        typer.Option(
            "--evidence", help="Ask a model each question with its region hidden, and list answers that do not change."
        ),
    ] = False,
    model: ModelOption = None,
    server: Annotated[
        list[str] | None, typer.Option(help="With --evidence: ask OpenAI-compatible servers instead.")
    ] = None,
    device: DeviceOption = None,
    overwrite: Overwrite = False,
) -> CommandAnswer:
    """Look for boxes outside, wrong scales, duplicates, leaks between splits, missing files, name variants; exit 1 on errors."""
    from rscovlm.data.storage import read_records
    from rscovlm.files import check_output
    from rscovlm.quality.findings import REPORT
    from rscovlm.quality.lint import lint as check
    from rscovlm.quality.lint_page import PAGE, write_page
    from rscovlm.quality.lint_pictures import draw_worst
    from rscovlm.quality.stored_prints import StoredPrints
    from rscovlm.records.tally import Tally

    with refusals("rscovlm data"):
        if not evidence and (model or server or device):
            raise ValueError("--model, --server and --device say who answers for --evidence; give it too")
        if evidence and root is None:
            raise ValueError("--evidence reads images; give their folder with --root")
        if out is not None:
            if out.exists() and not out.is_dir():
                raise ValueError(f"{out} is a file; give the name of a folder")
            check_output(out / "lint.json", REPORT, overwrite=overwrite)
            check_output(out / "lint.html", PAGE, overwrite=overwrite)
        tally = Tally(1.0, examples=50)
        rows = (record for path in records for record in read_records(path, tally=tally))
        with nullcontext() if looks is None else StoredPrints(looks) as stored:
            report = check(
                rows,
                root,
                pixels=pixels,
                crops=crops,
                scales=scales,
                rows=tally,
                looks=stored,
                progress=_images_so_far,
            )
        if evidence and root is not None:
            with refusals("rscovlm data", extra="train"):
                _lint_evidence(records, root, report, model=model, endpoints=server, device=device)
        if not tally.seen:
            raise ValueError(f"there is no record in {', '.join(map(str, records))}; give files that hold some")
        say(report.table())
        if out is not None:
            report.write(out / "lint.json", overwrite=overwrite)
            if pixels:
                draw_worst(report, root or Path(), out / "pictures", overwrite=overwrite)
            write_page(report, (root or Path()) if pixels else None, out / "lint.html", overwrite=overwrite)
            say(f"Open {out / 'lint.html'}")
    return CommandAnswer(report.to_dict() | ({} if out is None else {"folder": out}), code=1 if report.errors else 0)


def _lint_evidence(records: list[Path], root: Path, report: Report, **engine: Any) -> None:
    """Ask a model about every record whose region is known, and add what hiding it changes."""
    from rscovlm.data.storage import read_records
    from rscovlm.quality.evidence_lint import lint_evidence
    from rscovlm.records.tally import Tally
    from rscovlm.serving.loading import load_engine

    rows = (record for path in records for record in read_records(path, tally=Tally(1.0)))
    lint_evidence(rows, root, load_engine(**engine), report)


def _images_so_far(count: int) -> None:
    if count % 1000 == 0:
        say(f"{count:,} images so far", err=True)


@app.command()
@answers
def inspect(
    recipe: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="YAML recipe of a mixture or of a training run.")
    ],
    root: Annotated[Path, typer.Option(help="Folder that the recipe's records are in.")] = Path("data"),
    model: Annotated[str | None, typer.Option(help="Whose tokens to count; the embedded model's by default.")] = None,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("mixture.html"),
    draws: Annotated[int, typer.Option(min=1, help="Samples to draw.")] = 400,
    overwrite: Overwrite = False,
) -> CommandAnswer:
    """Show a mixture before it is trained: shares, lengths, boxes, and twelve samples as a page."""
    from rscovlm.files import check_output
    from rscovlm.loading import load_processor
    from rscovlm.mixtures.recipe import load_recipe
    from rscovlm.training.inspection import PAGE
    from rscovlm.training.inspection import inspect as look

    with refusals("rscovlm data"):
        check_output(out, PAGE, overwrite=overwrite)
        wanted = load_recipe(recipe)
        processor = load_processor(model or "embedded")
        processor.image_processor.budget = wanted.budget
        mixture = wanted.build(root, length=max(draws, 1000), codec=processor.dialect)
        found = look(mixture, processor, draws=draws, progress=ProgressBar("samples"))
        found.write(out, overwrite=overwrite)
    return CommandAnswer({"page": out, **found.to_dict()}, f"{found.table()}\nOpen {out}")


@app.command()
@answers
def balance(
    recipe: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="This round's YAML recipe.")],
    figures: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="YAML or JSON: results and targets, by subset; or a run's evaluation.jsonl.",
        ),
    ],
    out: Annotated[Path, typer.Argument(help="The next round's recipe.")],
    plot: Annotated[Path | None, typer.Option(help="SVG of the weights over the rounds.")] = None,
    overwrite: Overwrite = False,
) -> CommandAnswer:
    """Raise the weights of what lags behind its target and write the next round's recipe.

    Of a run's evaluation.jsonl the last line counts, and targets are those of the recipe's balance.
    """
    from rscovlm.exports.chart import PLOT, marked
    from rscovlm.files import check_output, write_text
    from rscovlm.mixtures.balance import next_recipe, plot_weights, read_figures
    from rscovlm.mixtures.recipe import load_recipe

    with refusals("rscovlm data"):
        if plot is not None:
            check_output(plot, PLOT, overwrite=overwrite)
        results, targets, rule = read_figures(figures, recipe)
        proposal = next_recipe(recipe, results, targets, out, overwrite=overwrite, **rule)
        if plot is not None:
            drawing = plot_weights([*load_recipe(out).history, proposal.weights])
            write_text(plot, marked(drawing), PLOT, overwrite=overwrite)
    lines = []
    for name, weight in proposal.weights.items():
        lag = proposal.lags.get(name)
        lines.append(f"{name:<28}{weight:8.3f}" + ("" if lag is None else f"   behind its target by {lag:.1%}"))
    lines.append("every target is reached: fine-tune with these weights" if proposal.satisfied else f"next: {out}")
    return CommandAnswer({"out": out, **asdict(proposal)}, "\n".join(lines))


@app.command()
@answers
def tile(
    records: Annotated[Path, typer.Argument(help="Detections: a .jsonl file, a shard, or a folder of shards.")],
    target: Annotated[Path, typer.Argument(help="A .jsonl file, or a folder for Parquet shards.")],
    size: Annotated[int, typer.Option(help="Side of a tile in pixels.", min=1)] = 512,
    overlap: Annotated[int, typer.Option(help="Pixels that neighbours share.", min=0)] = 100,
    root: Annotated[Path | None, typer.Option(help="Data folder; needed with --save.")] = None,
    save: Annotated[str | None, typer.Option(help="Save tiles as PNG in this folder below the root.")] = None,
    limit: Limit = 0.005,
    overwrite: Overwrite = False,
) -> CommandAnswer:
    """Cut detections into tiles; without --save they stay windows of their image and no pixel is copied."""
    from rscovlm.data.storage import check_records_output, read_records, write_records
    from rscovlm.data.tiles import tile as cut
    from rscovlm.records.tally import Tally

    rows, objects = Tally(limit), Tally(1.0)
    with refusals("rscovlm data"):
        check_records_output(target, overwrite=overwrite)
        read = rows.checked(read_records(records, tally=rows))
        parts = cut(read, size=size, overlap=overlap, root=root, folder=save, tally=objects, overwrite=overwrite)
        write_records(counting(parts, "tiles"), target, overwrite=overwrite)
    values = {"target": target, "records": rows.to_dict(), "objects": objects.to_dict()}
    return CommandAnswer(values, f"records: {rows.table()}\nobjects: {objects.table()}")


@app.command()
@answers
def synthesise(
    config: Annotated[Path, typer.Argument(help="YAML: templates, unique, multiple_choice, writer.")],
    records: Annotated[Path, typer.Argument(help="Detections: a .jsonl file, a shard, or a folder of shards.")],
    target: Annotated[Path, typer.Argument(help="A .jsonl file, or a folder for Parquet shards.")],
    root: Annotated[Path, typer.Option(help="Data folder.")] = Path(),
    journal: Annotated[Path, typer.Option(help="Keeps every reply; a second run resumes from it.")] = Path(
        "replies.jsonl"
    ),
    limit: Annotated[
        float, typer.Option(min=0, max=1, help="Share of questions that may be unusable; exit 1 where more are.")
    ] = 0.5,
    overwrite: Overwrite = False,
) -> CommandAnswer:
    """Make zoom questions from detections: templates, questions by a vision model, multiple choice."""
    from rscovlm.data.storage import check_records_output, write_records
    from rscovlm.records.tally import Tally
    from rscovlm.synthesis import SynthesisConfig
    from rscovlm.synthesis import synthesise as make

    tally = Tally(1.0)
    with refusals("rscovlm data"):
        check_records_output(target, overwrite=overwrite)
        settings = SynthesisConfig.load(config)
        server = None if settings.writer is None else settings.writer.server()
        made = make(settings, records, root, server, journal, tally=tally)
        write_records(counting(made, "questions", every=100), target, overwrite=overwrite)
    say(tally.table())
    # What the budget left out was not asked, so nothing is wrong with it.
    unusable, asked = (total - tally.dropped["budget spent"] for total in (tally.dropped.total(), tally.seen))
    spoiled = unusable > limit * asked
    if spoiled:
        say(
            f"rscovlm data: {unusable} of {asked} questions could not be used, more than --limit {limit:g}; what could is in "
            f"{target}. Look at the replies in {journal}, or ask another writer",
            err=True,
        )
    values = {"target": target, "journal": journal, "questions": tally.to_dict()}
    return CommandAnswer(values, code=1 if spoiled else 0)
