"""``rscovlm eval`` and ``rscovlm score``: the papers' tables on a user's data and model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rscovlm.cli import choices
from rscovlm.cli.answers import CommandAnswer, answers
from rscovlm.cli.model_options import (
    BudgetOption,
    DeviceOption,
    DialectOption,
    DtypeOption,
    MaxPixelsOption,
    ModelOption,
    ProbeOption,
    ProcessorOption,
    RevisionOption,
    WordingOption,
)
from rscovlm.cli.refusals import refusals
from rscovlm.cli.terminal import ProgressBar, say

if TYPE_CHECKING:
    from rscovlm.benchmarks.suite import Suite

Repeats = Annotated[int, typer.Option(min=0, help="Redraws of images behind each interval; 0 for none.")]
Tracker = Annotated[
    str, typer.Option(help="Also log the figures to a tracker that accelerate knows: tensorboard, trackio, mlflow, ...")
]
Compare = Annotated[
    Path | None, typer.Option(help="Folder of another run: also test whether the two differ, on common items.")
]


@answers
def evaluate(
    suite: Annotated[
        list[str],
        typer.Option(
            help="table1 to table5, a suite, or a suite's YAML file; may be repeated.",
            autocompletion=choices.known("rscovlm.benchmarks.suite:suite_names"),
        ),
    ],
    data: Annotated[str, typer.Option(help="Folder of the data sets, or OWNER/NAME[@REVISION] of records on the Hub.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; a second run resumes it.")],
    model: ModelOption = None,
    revision: RevisionOption = None,
    engine: Annotated[str, choices.option(choices.ENGINES, "Who answers.")] = "transformers",
    server: Annotated[
        list[str] | None, typer.Option(help="Addresses of OpenAI-compatible servers, for --engine server.")
    ] = None,
    device: DeviceOption = None,
    dtype: DtypeOption = "auto",
    max_pixels: MaxPixelsOption = None,
    dialect: DialectOption = None,
    wording: WordingOption = None,
    processor: ProcessorOption = None,
    budget: BudgetOption = None,
    probe: ProbeOption = True,
    variant: Annotated[
        list[str] | None, typer.Option(help="Ways of asking, such as zoom or 336, where a suite has them; or all.")
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="Also ask with this policy of zooming, where a suite lets the model look closer: tree, branch, ..."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask only so many items of each suite.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Items asked about at a time.")] = 32,
    shard: Annotated[
        str, typer.Option(help="Which part of the items, such as 2/4; the last to end writes the report.")
    ] = "1/1",
    controls: Annotated[bool, typer.Option(help="Also ask without the image and about another image.")] = True,
    control_limit: Annotated[int, typer.Option(min=1, help="Items of each suite that controls ask about.")] = 200,
    confidence: Annotated[
        bool,
        typer.Option(
            "--confidence", help="Also ask how sure the model is, where the engine tells: accuracy by coverage."
        ),
    ] = False,
    trained: Annotated[
        Path | None,
        typer.Option(help="Recipe or records that the model was trained on: test images among them are named."),
    ] = None,
    trained_root: Annotated[Path | None, typer.Option(help="Folder that paths of --trained are relative to.")] = None,
    refuse_leaks: Annotated[
        bool, typer.Option("--refuse-leaks", help="Ask nothing where --trained holds test images.")
    ] = False,
    worst: Annotated[int, typer.Option(min=0, help="Worst cases drawn on a page for each suite; 0 for none.")] = 24,
    repeats: Repeats = 1000,
    compare: Compare = None,
    log_with: Tracker = "",
) -> CommandAnswer:
    """Evaluate a model on published benchmarks; resumable, and safe against being killed."""
    from rscovlm.benchmarks.answers import check_shard
    from rscovlm.benchmarks.hub_data import data_folder
    from rscovlm.benchmarks.published import named_suites
    from rscovlm.benchmarks.report import REPORT
    from rscovlm.benchmarks.running import Job, leaks_of, run_jobs, write_pages
    from rscovlm.benchmarks.suite import load_suite
    from rscovlm.benchmarks.trackers import check_tracker
    from rscovlm.files import check_folder, claim_folder

    with refusals("rscovlm eval"):
        # Everything that can be refused is refused before the model is loaded.
        names, tables = named_suites(suite)
        suites = [load_suite(name) for name in names]
        part = check_shard(shard)
        check_folder(out, REPORT)
        if log_with:
            check_tracker(log_with)
        job = Job(suites, data_folder(data), variant or (), limit, controls, control_limit, part, batch, confidence)
        job = job.with_policies(policy or ())
        asked = job.plan()
        leaks = {} if trained is None else leaks_of(asked, trained, trained_root)
        if refuse_leaks and any(leaks.values()):
            named = next(found[0] for found in leaks.values() if found)
            number = sum(map(len, leaks.values()))
            raise ValueError(f"{number} test images were trained on, such as {named.image!r} ({named.how})")
        stated = {"processor": processor, "budget": budget, "probe": probe}
        answering = _engine(
            engine, model, server, batch, revision, device, dtype, max_pixels, dialect, wording, **stated
        )
        claim_folder(out, REPORT)
        errors = run_jobs(answering, asked, job, out, model or "embedded", say, progress=ProgressBar)
        for path in write_pages(out, asked, leaks, worst):
            say(f"written: {path.name}")
        for name, found in leaks.items():
            say(f"{name}: {len(found)} test images were trained on, {sum(one.items for one in found)} questions")
        values, text = _report(out, suites, tables, (), repeats, compare, log_with)
    return CommandAnswer({**values, "errors": errors}, text, 1 if errors else 0)


@answers
def score(
    folder: Annotated[Path, typer.Argument(help="Folder of a run; with --answers, where one is made.")],
    answers: Annotated[
        Path | None, typer.Option(help="Another model's answers: JSON, or JSON lines, with ids.")
    ] = None,
    suite: Annotated[
        list[str] | None, typer.Option(help="Suites or tables to report; with --answers, the one suite.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the data sets, for --answers.")] = None,
    model: Annotated[str, typer.Option(help="Whose answers they are.")] = "",
    detections: Annotated[
        Path | None, typer.Option(help="A detector's results: COCO results, or DOTA's Task 1 files (folder or zip).")
    ] = None,
    coco: Annotated[Path | None, typer.Option(help="COCO file that numbers in --detections refer to.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Keep boxes whose score is greater.")] = None,
    calibrate: Annotated[
        Path | None, typer.Option(help="The detector's results on --calibrate-suite, which choose the threshold.")
    ] = None,
    calibrate_suite: Annotated[str, typer.Option(help="Suite of a split that the figures do not use.")] = "",
    dialect: Annotated[
        str, typer.Option(help="How boxes in the answers are written: a preset or a YAML file.")
    ] = "rscovlm-v1",
    rule: Annotated[list[str] | None, typer.Option(help="Score under these conventions instead.")] = None,
    task1: Annotated[
        Path | None, typer.Option(help="Also write DOTA's Task 1 archive of the one --suite, for its server.")
    ] = None,
    repeats: Repeats = 1000,
    compare: Compare = None,
    log_with: Tracker = "",
) -> CommandAnswer:
    """Score answers that are there, under the suites' conventions or others; nothing is asked."""
    from rscovlm.benchmarks.evaluation import BenchmarkRun
    from rscovlm.benchmarks.items import load_items
    from rscovlm.benchmarks.other_answers import import_answers
    from rscovlm.benchmarks.published import named_suites
    from rscovlm.benchmarks.report import REPORT
    from rscovlm.benchmarks.suite import load_suite
    from rscovlm.benchmarks.task1_archive import write_archive
    from rscovlm.benchmarks.trackers import check_tracker
    from rscovlm.codec.dialect import Dialect
    from rscovlm.files import check_folder, claim_folder

    with refusals("rscovlm score"):
        names, tables = named_suites(suite or [])
        suites = [load_suite(name) for name in names]
        check_folder(folder, REPORT)
        if log_with:
            check_tracker(log_with)
        if answers is not None:
            if len(suites) != 1 or data is None:
                raise ValueError("--answers needs one --suite and its --data; give both")
            written = Dialect.load(dialect)
            run = BenchmarkRun(suites[0], model=model)
            items = load_items(suites[0], data)
            counts = import_answers(answers, run, items, claim_folder(folder, REPORT), dialect=written)
            say(f"{answers}: {', '.join(f'{number} {name}' for name, number in counts.items())}")
        if detections is not None:
            if len(suites) != 1 or data is None:
                raise ValueError("--detections needs one --suite and its --data; give both")
            _detector(folder, suites[0], data, detections, coco, threshold, calibrate, calibrate_suite, model)
        if task1 is not None:
            if len(suites) != 1:
                raise ValueError("--task1 needs the one --suite whose objects it holds")
            say(f"written: {write_archive(task1, folder, suites[0])}")
        values, text = _report(folder, suites, tables, rule or (), repeats, compare, log_with)
    return CommandAnswer(values, text)


@answers
def peers(
    suite: Annotated[str, typer.Argument(help="A suite of answers in words, or its YAML file.")],
    out: Annotated[Path, typer.Argument(help="Folder that is made.")],
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    program: Annotated[str, choices.option(choices.PROGRAMS, "Whose loop asks.")] = "lmms-eval",
    dialect: Annotated[str, typer.Option(help="In whose words questions are asked.")] = "rscovlm-v1",
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many items.")] = None,
) -> CommandAnswer:
    """Write a suite as a task of lmms-eval or as a data set of VLMEvalKit."""
    from rscovlm.benchmarks.items import load_items
    from rscovlm.benchmarks.peers import write_lmms_eval, write_vlmevalkit
    from rscovlm.benchmarks.suite import load_suite
    from rscovlm.codec.dialect import Dialect
    from rscovlm.files import check_folder, claim_folder

    with refusals("rscovlm peers"):
        if program not in choices.PROGRAMS:
            raise ValueError(f"program is {program!r}; choose {' or '.join(choices.PROGRAMS)}")
        check_folder(out, "peers")
        chosen, words = load_suite(suite), Dialect.load(dialect)
        items = load_items(chosen, data, limit=limit)
        folder = claim_folder(out, "peers")
        if program == "lmms-eval":
            paths = write_lmms_eval(folder, chosen, items, words)
        else:
            paths = [write_vlmevalkit(folder, chosen, items, words)]
    text = f"{len(items)} items: {', '.join(path.name for path in paths)} in {out}"
    return CommandAnswer({"folder": out, "items": len(items), "files": [path.name for path in paths]}, text)


def _detector(
    folder: Path,
    suite: Suite,
    data: Path,
    detections: Path,
    coco: Path | None,
    threshold: float | None,
    calibrate: Path | None,
    calibrate_suite: str,
    model: str,
) -> None:
    """Keep a detector's results as a run, cut at a threshold that is given or chosen on another split."""
    from rscovlm.benchmarks.detector_results import chosen_threshold, curve_picture, import_detections
    from rscovlm.benchmarks.evaluation import BenchmarkRun
    from rscovlm.benchmarks.items import load_items
    from rscovlm.benchmarks.report import REPORT
    from rscovlm.benchmarks.suite import load_suite
    from rscovlm.files import claim_folder, write_text

    if calibrate is not None:
        if not calibrate_suite or calibrate_suite == suite.name or threshold is not None:
            raise ValueError(
                "--calibrate needs --calibrate-suite, a split other than the one that is scored, and no --threshold"
            )
        there = load_items(load_suite(calibrate_suite), data)
        found = chosen_threshold(calibrate, there, suite.protocol.rule, coco=coco)
        threshold = float(found["threshold"])
        claim_folder(folder, REPORT)
        drawing = curve_picture(found, f"{model or calibrate.stem} on {calibrate_suite}")
        write_text(folder / "calibration.svg", drawing, overwrite=True)
        say(
            f"threshold {threshold:.2f}, AP_nc50 {100 * found['best']['mean']:.2f} on {calibrate_suite}: calibration.svg"
        )
    items = load_items(suite, data)
    claim_folder(folder, REPORT)
    run = BenchmarkRun(suite, model=model)
    counts = import_detections(detections, run, items, folder, threshold=threshold or 0.0, coco=coco)
    say(f"{detections}: {counts['kept']} of {counts['boxes']} boxes kept")


def _report(
    folder: Path, suites: list[Suite], tables: Any, rules: Any, repeats: int, compare: Path | None, log_with: str
) -> tuple[dict[str, Any], str]:
    """Score what is there, write the report, and return its figures and its tables as text."""
    from rscovlm.benchmarks.grids import grids
    from rscovlm.benchmarks.report import to_markdown, write_report
    from rscovlm.benchmarks.running import compared, scored_suites
    from rscovlm.benchmarks.scoring import score_folder
    from rscovlm.benchmarks.trackers import track

    scores = score_folder(folder, suites=suites, rules=rules, repeats=repeats)
    every = scored_suites(scores, suites)
    tests = {} if compare is None else compared(folder, compare, every, rules)
    tables = tables or ()
    found = grids(tables, every, scores)
    paths = write_report(folder, found, scores, tests)
    shown = grids(tables, [one for one in every if not tables], scores)
    names = [path.name for path in paths]
    lines = [to_markdown(shown, scores, tests), f"written: {', '.join(names)} in {folder}"]
    if log_with:
        lines.append(f"logged: {len(track(scores, log_with, folder))} figures to {log_with}")
    values = {"folder": folder, "files": names, "scores": [one.to_dict() for one in scores], "compared": tests}
    return values, "\n".join(lines)


def _engine(
    engine: str,
    model: str | None,
    server: list[str] | None,
    batch: int,
    revision: str | None,
    device: str | None,
    dtype: str,
    max_pixels: int | None,
    dialect: str | None,
    wording: str | None,
    **stated: Any,
) -> Any:
    """Return the engine that was asked for.

    Raises:
        ValueError: There is none of this name, or it lacks what it needs.
    """
    from rscovlm.serving.loading import limited, load_engine, worded

    if engine not in ("transformers", "server", "vllm"):
        raise ValueError(f"engine is {engine!r}; choose transformers, server or vllm")
    if (engine == "server") != bool(server):
        raise ValueError("--engine server and --server ADDRESS go together; give both, or neither")
    if engine == "vllm":
        import rscovlm
        from rscovlm.loading import load_processor

        if not model:
            raise ValueError("--engine vllm needs --model, a checkpoint that vLLM can load")
        own = load_processor(model, dialect=dialect)
        return rscovlm.engines.VLLM.load(
            model, budget=limited(own.budget, max_pixels), dialect=worded(own.dialect, wording)
        )
    return load_engine(
        model,
        endpoints=server,
        batch_size=batch,
        revision=revision,
        device=device,
        dtype=dtype,
        max_pixels=max_pixels,
        dialect=dialect,
        wording=wording,
        **stated,
    )
