"""The steps of a demo run, in order."""

from __future__ import annotations

import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path

from rscovlm.codec.categories import plural
from rscovlm.demo import areas, real, searching, talks, zooming
from rscovlm.demo.report import REPORT, Figure, ReportedSearch, ReportedSection, Story, write_report
from rscovlm.demo.scores import TaskScore, compared, measure
from rscovlm.demo.tuning import LOOKS, NEW_CLASSES, STEPS, Progress, Tuned, known_scenes, tune
from rscovlm.demo.zooming import LargeImage, Zoomed
from rscovlm.engines import Transformers
from rscovlm.exports.geojson import GEOJSON
from rscovlm.exports.matches import MatchedObjects, draw_matches
from rscovlm.extras import require
from rscovlm.files import check_folder, check_output, claim_folder, write_picture
from rscovlm.loading import load
from rscovlm.rasters import open_image
from rscovlm.tasks import Detections
from rscovlm.zoom import ZoomChain

Say = Callable[[str], None]

OUTPUTS = {
    "report.html": REPORT,
    "objects.geojson": GEOJSON,
    "objects.png": "picture",
    "zoom.png": "picture",
    "large_scene.tif": "geotiff",
    "part_of_scene.tif": "geotiff",
    "real_tile.html": "map",
}
"""Files of the folder and their kinds."""

CHECKPOINT = "checkpoint"


@dataclass
class DemoRun:
    """What a run has produced so far."""

    folder: Path
    seed: int
    say: Say
    start: float = field(default_factory=time.monotonic)

    def step(self, text: str) -> None:
        """Report the next step, with the time that has passed."""
        self.say(f"[{time.monotonic() - self.start:5.1f} s] {text}")


def run_demo(
    folder: Path,
    *,
    image: Path | None = None,
    question: str | None = None,
    steps: int = STEPS,
    seed: int = 0,
    say: Say,
    progress: Progress | None = None,
) -> Path:
    """Run the whole job and write the folder.

    Args:
        folder: Gets ``checkpoint/``, ``objects.geojson``, pictures and ``report.html``; made where it is missing.
        image: The user's own image in place of the generated large scene.
        question: What to ask about it; nothing is asked about one's own image without it.
        steps: Optimiser steps of the fine-tuning.
        seed: Of scenes and samples; the same seed and steps give the same figures on a slow machine.
        say: Takes lines of progress.
        progress: Takes the steps of the fine-tuning.

    Returns:
        The path of the report.

    Raises:
        ValueError: The image cannot be read, or the folder holds files of these names that no demo wrote.
    """
    require("torch", "trl", "peft", "accelerate", "datasets", "rasterio", extra="demo")
    import torch
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(seed)
    run = DemoRun(folder, seed, say)
    _check_outputs(folder)
    large = _large_image(run, image, question)
    run.step("load the embedded model")
    model, processor = load("embedded", device="cpu")
    engine = Transformers(model, processor, batch_size=48)
    run.step("measure it on scenes it never saw")
    before = measure(engine, seed)
    run.step(f"fine-tune for {steps} steps: a new class ({', '.join(NEW_CLASSES)}) mixed with what it knows")
    with tempfile.TemporaryDirectory() as scratch:
        tuned = tune(model, processor, Path(scratch), steps=steps, seed=seed, progress=progress)
    run.step(f"{tuned.samples} samples; save the checkpoint")
    claim_folder(folder / CHECKPOINT, "demo")
    model.save_pretrained(folder / CHECKPOINT)
    processor.save_pretrained(folder / CHECKPOINT)
    run.step("measure it again")
    scores = compared(before, measure(engine, seed))
    _say_table(scores, say)
    zoomed = _ask(run, engine, large)
    search = _search(run, engine, large)
    run.step("hold conversations, and look at a real tile")
    story = _story(run, large, scores, tuned, zoomed, search)
    story.talks = talks.hold(engine, seed)
    tile = real.look(engine, folder / "real_tile.html")
    story.real = ReportedSection(
        "A real tile, through the same machinery", tile.text, tile.figures, ("the tile on a map", "real_tile.html")
    )
    right = sum(talk.right for talk in story.talks)
    say(f"    {right} of {len(story.talks)} sample conversations are right")
    report = folder / "report.html"
    write_report(story, report)
    run.step("done")
    return report


def _check_outputs(folder: Path) -> None:
    """Refuse, before the work begins, files that the run would replace and that no demo wrote."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; give the name of a folder")
    for name, kind in OUTPUTS.items():
        check_output(folder / name, kind)
    check_folder(folder / CHECKPOINT, "demo")


def _large_image(run: DemoRun, image: Path | None, question: str | None) -> LargeImage:
    """Open the user's image, or generate the large scene; the folder is made once the image can be read."""
    if image is not None:
        raster = open_image(image)
        raster.overview(zooming.SHOWN)
        run.folder.mkdir(parents=True, exist_ok=True)
        return LargeImage(raster, question or "")
    run.folder.mkdir(parents=True, exist_ok=True)
    run.step(f"generate a scene of {zooming.LARGE} x {zooming.LARGE} pixels as a GeoTIFF")
    return zooming.write_scene(run.folder / "large_scene.tif", run.seed)


def _say_table(scores: Sequence[TaskScore], say: Say) -> None:
    say(f"    {'task':<42} before  after  trivial")
    for score in scores:
        trivial = f"{score.before.baseline:8.2f}  ({score.before.trivial})"
        say(f"    {score.name:<42} {score.before.value:6.2f} {score.after.value:6.2f} {trivial}")


def _ask(run: DemoRun, engine: Transformers, large: LargeImage) -> Zoomed | None:
    """Ask the question, where there is one."""
    if not large.question:
        return None
    run.step(f"ask about the image of {large.raster.width} x {large.raster.height} pixels: {large.question}")
    zoomed = zooming.zoom(ZoomChain(engine, max_steps=LOOKS), large)
    answers = zooming.answers(zoomed, large.pad)
    run.say("    " + "   ".join(f"{answer.name}: {answer.text!r}" for answer in answers))
    return zoomed


def _search(run: DemoRun, engine: Transformers, large: LargeImage) -> ReportedSearch:
    """Search the user's image, or the liveliest part of the generated one, and write objects.geojson and objects.png."""
    raster, held, window = large.raster, None, None
    if large.layout is not None:
        window = searching.liveliest(large.layout)
        raster = searching.cut_out(raster, window, run.folder / "part_of_scene.tif")
    run.step(f"search {raster.width} x {raster.height} pixels for {', '.join(searching.classes())}")
    if large.layout is not None and window is not None:
        side = int(engine.budget.max_pixels**0.5)
        found = searching.search(engine, raster, tile=side, overlap=side // 2)
        held = searching.held_against(found.objects, large.layout, window)
        picture = draw_matches(raster.overview(zooming.SHOWN), held)
    else:
        found = searching.search(engine, raster)
        picture = found.draw(zooming.SHOWN)
    found.to_geojson(run.folder / "objects.geojson")
    write_picture(run.folder / "objects.png", picture)
    run.say(f"    {_found(found)}{_held(held)}")
    rows, columns = searching.places(found)
    caption = f"{searching.counted(len(found), 'object')} on {raster.width} x {raster.height} pixels."
    reported = ReportedSearch([Figure(picture, caption)], objects=rows, coordinates=columns)
    reported.method = searching.method(found, engine.budget)
    if held is not None and large.layout is not None and window is not None:
        run.step("draw masks, a change map and a trace of conditions")
        reported.sections = areas.look(engine, areas.SearchedPart(raster, window, large.layout, held), run.seed)
    if held is None:
        listed = ", ".join(plural(name) for name in searching.classes())
        names, none = (f" {word} ".join(listed.rsplit(", ", 1)) for word in ("and", "or"))
        boxes = (
            f"The boxes are what the miniature takes for {names}." if len(found) else f"The miniature finds no {none}."
        )
        reported.text = f"{boxes} It has seen drawn scenes only, so do not rely on its answers: on any other picture they are guesses."
    else:
        reported.counts = searching.by_class(held)
        reported.precision, reported.recall = held.precision, held.recall
        reported.text = (
            "The part of the large scene with the most objects, held against its truth at an IoU of 0.5. Objects that the "
            "border of the part cuts do not count."
        )
    return reported


def _found(found: Detections) -> str:
    counts = found.counts()
    named = ", ".join(f"{counts[name]} {name}" for name in sorted(counts))
    return searching.counted(len(found), "object") + (f": {named}" if named else "")


def _held(held: MatchedObjects | None) -> str:
    if held is None:
        return ""
    figures = [(name, value) for name, value in (("precision", held.precision), ("recall", held.recall))]
    return "; " + ", ".join(f"{name} {value:.2f}" for name, value in figures if value is not None)


def _story(
    run: DemoRun,
    large: LargeImage,
    scores: Sequence[TaskScore],
    tuned: Tuned,
    zoomed: Zoomed | None,
    search: ReportedSearch,
) -> Story:
    raster = large.raster
    own = large.layout is None
    story = Story(
        title="rscovlm: a demo run",
        lead=_lead(tuned, own),
        limits=_limits(tuned),
        facts=[
            ("parameters", f"{tuned.parameters / 1e6:.2f} M"),
            ("steps, samples of fine-tuning", f"{tuned.steps}, {tuned.samples}"),
            ("pixels of your image" if own else "pixels of the large image", _pixels(raster.width * raster.height)),
        ],
        scores=scores,
        losses=tuned.losses,
        question=large.question,
        search=search,
        notes=[
            "Mixture: " + ", ".join(f"{name} {share:.0%}" for name, share in tuned.shares.items()) + ".",
            f"Command: rscovlm {' '.join(sys.argv[1:])}",
            f"{date.today().isoformat()}, {platform.machine()}, {platform.system()}, Python {platform.python_version()}, "
            + ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "trl")),
        ],
    )
    if zoomed is not None:
        drawn, story.zooming = zooming.figures(large, zoomed.with_zoom)
        write_picture(run.folder / "zoom.png", drawn)
        story.answers = zooming.answers(zoomed, large.pad)
        if large.pad is not None:
            frame = zoomed.with_zoom.views[0].frame
            story.legible = zooming.legibility_note((frame.width, frame.height), run.seed)
    return story


def _lead(tuned: Tuned, own: bool) -> str:
    pixels = f"{zooming.LARGE**2 / 1e6:.0f} million pixels"
    used = (
        "and used to search your image" if own else f"asked about a scene of {pixels}, and used to search a part of it"
    )
    return (
        f"A vision-language model of {tuned.parameters / 1e6:.1f} million parameters, shipped with the package, was fine-tuned "
        f"on generated overhead scenes, measured, {used} for objects. Everything below was made by this run."
    )


def _limits(tuned: Tuned) -> list[str]:
    known, new = (", ".join(plural(name) for name in names) for names in (known_scenes().classes, NEW_CLASSES))
    can = (
        f"What it can do: on drawn scenes, name the ground, point at and outline {known}, look closer where it has to, and learn "
        f"a new class ({new}) in the {tuned.steps} steps of this run. The figures below say how well."
    )
    cannot = (
        f"What it cannot: anything with a real picture. It has {tuned.parameters / 1e6:.1f} million parameters where a usable "
        "model has thousands of millions, sees 84 x 84 pixels at a time, and has seen drawings only. The figures show that the "
        "machinery works, and what such a model learns in so few steps; they say nothing about a large model on real images."
    )
    return [can, cannot]


def _pixels(count: int) -> str:
    if count < 100_000:
        return f"{count:,}"
    return f"{count / 1e6:.0f} M" if count >= 10e6 else f"{count / 1e6:.2f} M"
