"""The steps of a demo run, in order."""

from __future__ import annotations

import math
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from rscovlm.codec.dialect import Dialect
from rscovlm.demo.report import REPORT, Figure, ReportedConversation, Story, write_report
from rscovlm.demo.tuning import NEW_CLASSES, Tuned, known_scenes, new_scenes, tune
from rscovlm.engines import Transformers
from rscovlm.engines.engine import dialect_of
from rscovlm.experiments.scenes import Score, score_detection, score_grounding, score_words, score_zoom
from rscovlm.exports.geojson import GEOJSON
from rscovlm.extras import require
from rscovlm.files import check_folder, check_output, claim_folder, write_picture
from rscovlm.geometry import Frame
from rscovlm.loading import load
from rscovlm.mixtures.scene_records import scene_questions
from rscovlm.rasters import Raster, open_image
from rscovlm.scenes import LayoutConfig, Scene, SceneConfig, SceneLayout, make_scene, write_geotiff, write_large_scene
from rscovlm.tasks import Detections, detect
from rscovlm.tasks.classify import question as classification_question
from rscovlm.tasks.detect import question as detection_question
from rscovlm.tasks.ground import question as grounding_question
from rscovlm.tasks.task import Question
from rscovlm.zoom import ZoomChain, ZoomResult, ZoomView
from rscovlm.zoom.drawing import draw_windows

Say = Callable[[str], None]

LARGE = 8192
"""Side of the generated large scene in pixels."""

PART = 640
"""Side of the part of it that is searched for objects, in pixels."""

TILES = 400
"""Most tiles that a user's own image is searched in; larger images get larger tiles."""

SHOWN = 760 * 760
"""Pixels of the pictures in the report."""

MEASURED = 32
"""Scenes that each task is measured on, before and after."""

TEST_TEXTURES = 779

OUTPUTS = {
    "report.html": REPORT,
    "objects.geojson": GEOJSON,
    "objects.png": "picture",
    "zoom.png": "picture",
    "large_scene.tif": "geotiff",
    "part_of_scene.tif": "geotiff",
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
        """Say what comes next, with the time that has passed."""
        self.say(f"[{time.monotonic() - self.start:5.1f} s] {text}")


def run_demo(
    folder: Path,
    *,
    image: Path | None = None,
    question: str | None = None,
    seconds: float = 60.0,
    seed: int = 0,
    say: Say,
) -> Path:
    """Run the whole job and write the folder.

    Args:
        folder: Gets ``checkpoint/``, ``objects.geojson``, pictures and ``report.html``; made where it is missing.
        image: The user's own image in place of the generated large scene.
        question: What to ask about it.
        seconds: How long to fine-tune.
        seed: Of scenes and samples.
        say: Takes lines of progress.

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
    raster, asked, truth = _large_image(run, image, question)
    run.step("load the embedded model")
    model, processor = load("embedded", device="cpu")
    engine = Transformers(model, processor, batch_size=48)
    run.step("measure it on scenes it never saw")
    before = _measure(engine, seed)
    run.step(f"fine-tune for {seconds:.0f} s: a new class ({', '.join(NEW_CLASSES)}) mixed with what it knows")
    with tempfile.TemporaryDirectory() as scratch:
        tuned = tune(model, processor, Path(scratch), seconds=seconds, seed=seed, say=say)
    run.step(f"{tuned.steps} steps, {tuned.samples} samples; save the checkpoint")
    claim_folder(folder / CHECKPOINT, "demo")
    model.save_pretrained(folder / CHECKPOINT)
    processor.save_pretrained(folder / CHECKPOINT)
    run.step("measure it again")
    after = _measure(engine, seed)
    _say_table(before, after, say)
    run.step(f"ask about the image of {raster.width} x {raster.height} pixels: {asked}")
    chain = ZoomChain(engine, max_steps=1)
    with_zoom, without = chain.ask(raster, asked), chain.ask(raster, asked, zoom=False)
    say(
        f"    with zoom: {with_zoom.answer!r}   without: {without.answer!r}" + (f"   truth: {truth!r}" if truth else "")
    )
    found, searched = _detect(run, engine, raster, own=image is not None)
    run.step("write the report")
    story = _story(run, raster, asked, truth, with_zoom, without, found, searched, tuned, before, after)
    story.talks = _talks(engine, seed)
    report = folder / "report.html"
    write_report(story, report)
    run.step("done")
    return report


def _check_outputs(folder: Path) -> None:
    """Refuse before the work begins what would be replaced at its end and is not ours."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; give the name of a folder")
    for name, kind in OUTPUTS.items():
        check_output(folder / name, kind)
    check_folder(folder / CHECKPOINT, "demo")


def _large_image(run: DemoRun, image: Path | None, question: str | None) -> tuple[Raster, str, str]:
    """Open the user's image, or generate the large scene; return it with a question and, if known, its answer.

    The folder is made once the image can be read.
    """
    if image is not None:
        raster = open_image(image)
        raster.overview(SHOWN)
        run.folder.mkdir(parents=True, exist_ok=True)
        return raster, question or "What marking is on the white pad?", ""
    run.folder.mkdir(parents=True, exist_ok=True)
    path = run.folder / "large_scene.tif"
    run.step(f"generate a scene of {LARGE} x {LARGE} pixels as a GeoTIFF")
    scene = write_large_scene(path, run.seed, LayoutConfig(LARGE, LARGE), compression="jpeg")
    if scene.pad is None:
        raise ValueError(f"the large scene of seed {run.seed} has no pad to ask about; use another seed")
    return open_image(path), "What marking is on the white pad?", scene.pad.glyph


def _measure(engine: Transformers, seed: int) -> dict[str, Score]:
    """Measure what was known and what is new on scenes with textures of their own."""
    rng = np.random.default_rng([seed, 17])
    scores: dict[str, Score] = {}
    for name, config in (("known", known_scenes()), ("new", new_scenes())):
        config = _fresh(config)
        scenes = [make_scene(rng, config) for _ in range(MEASURED)]
        if name == "known":
            scores["scene class"] = score_words(engine, scenes, config.classes, "class")
        label = "plane, ship, tank" if name == "known" else ", ".join(NEW_CLASSES)
        scores[f"Acc@0.5, {label}"] = score_grounding(engine, scenes, config.classes)
        scores[f"AP_nc50, {label}"] = score_detection(engine, scenes, config.classes)["ap_nc50"]
    zoom = score_zoom(engine, _fresh(known_scenes()), count=MEASURED, rng=rng)
    return {**scores, "question with zoom": zoom["zoom_on"], "question without zoom": zoom["zoom_off"]}


def _fresh(config: SceneConfig) -> SceneConfig:
    return replace(config, texture_seed=TEST_TEXTURES)


def _say_table(before: Mapping[str, Score], after: Mapping[str, Score], say: Say) -> None:
    say(f"    {'task':<30} before  after  trivial")
    for name, score in before.items():
        say(f"    {name:<30} {score.value:6.2f} {after[name].value:6.2f} {score.baseline:8.2f}  ({score.trivial})")


def _detect(run: DemoRun, engine: Transformers, raster: Raster, *, own: bool) -> tuple[Detections, Raster]:
    """Search the user's image, or the liveliest part of the generated one, and write objects.geojson."""
    searched = raster if own else _part(run, raster)
    side = math.isqrt(engine.budget.max_pixels)
    tile = max(side, math.ceil(math.sqrt(searched.width * searched.height / (0.64 * TILES)))) if own else side
    run.step(f"detect on {searched.width} x {searched.height} pixels, tiles of {tile}")
    classes = [*known_scenes().classes, *NEW_CLASSES]
    found = detect(
        engine, searched, classes, tile=tile, overlap=tile // 2 if not own else None, batch=48, max_new_tokens=160
    )
    found.to_geojson(run.folder / "objects.geojson")
    counts = found.counts()
    named = [f"{counts.pop(name)} {name}" for name in classes if name in counts]
    others = [f"{counts.total()} by names that were not asked for"] if counts else []
    run.say(f"    {len(found)} objects: " + ", ".join(named + others))
    return found, searched


def _part(run: DemoRun, raster: Raster) -> Raster:
    """Cut the part of the large scene with the most objects into a GeoTIFF of its own, map coordinates included."""
    layout = SceneLayout(run.seed, LayoutConfig(LARGE, LARGE))
    wanted = set(known_scenes().classes) | set(NEW_CLASSES)
    centres = np.array([thing.centre for thing in layout.objects if thing.label in wanted])
    corners = [(int(x), int(y)) for x in range(0, LARGE - PART, PART // 2) for y in range(0, LARGE - PART, PART // 2)]

    def count(corner: tuple[int, int]) -> int:
        inside = (centres >= corner) & (centres < (corner[0] + PART, corner[1] + PART))
        return int(inside.all(axis=1).sum())

    x, y = max(corners, key=count)
    view = raster.read((x, y, x + PART, y + PART))
    frame = Frame(PART, PART, root_to_world=view.frame.to_world(), crs=view.frame.crs)
    path = run.folder / "part_of_scene.tif"
    write_geotiff(path, frame, lambda x1, y1, x2, y2: view.image.crop((x1, y1, x2, y2)))
    return open_image(path)


def _looks(run: DemoRun, raster: Raster, answered: ZoomResult) -> list[Figure]:
    """Draw what the model was shown: the region on the whole image, the overview, each window; and keep the first."""
    large = raster.overview(SHOWN)
    whole = ZoomView(large.image, large.frame, (0, 0, raster.width, raster.height), 0, 0)
    drawn = draw_windows(whole, answered.crops)
    write_picture(run.folder / "zoom.png", drawn)
    figures = [Figure(drawn, "The whole image, with the region the model asked for.")]
    overview = answered.views[0]
    shown = (overview.frame.width, overview.frame.height)
    seen = overview.image.resize(shown, Image.Resampling.BOX)
    figures.append(Figure(seen, f"What it is shown first: {shown[0]} x {shown[1]} pixels, enlarged here.", zoom=4))
    for view in answered.crops:
        x1, y1, x2, y2 = view.window
        pixels = f"Read again from the file: {x2 - x1} x {y2 - y1} pixels at ({x1}, {y1})."
        picture = view.image.convert("RGB")
        picture.thumbnail((420, 420))
        figures.append(Figure(picture, pixels))
    return figures


def _story(
    run: DemoRun,
    raster: Raster,
    asked: str,
    truth: str,
    with_zoom: ZoomResult,
    without: ZoomResult,
    found: Detections,
    searched: Raster,
    tuned: Tuned,
    before: Mapping[str, Score],
    after: Mapping[str, Score],
) -> Story:
    picture = found.draw(SHOWN)
    write_picture(run.folder / "objects.png", picture)
    rows, columns = _places(found)
    answers = [("with zoom", with_zoom.answer), ("without zoom", without.answer)]
    return Story(
        title="rscovlm: a demo run",
        lead=(
            "A vision-language model of a million parameters, shipped with the package, was fine-tuned on generated overhead "
            "scenes, measured, asked about an image far too large for it, and used to find objects. Everything below was "
            "made by this run."
        ),
        facts=[
            ("parameters", f"{tuned.parameters / 1e6:.2f} M"),
            ("samples in the fine-tuning", f"{tuned.samples}"),
            ("pixels of the large image", f"{raster.width * raster.height / 1e6:.0f} M"),
            ("seconds to answer with zoom", f"{with_zoom.seconds:.2f}"),
            ("objects found", f"{len(found)}"),
        ],
        scores=[
            {"name": name, "before": score.value, "after": after[name].value}
            | {"baseline": score.baseline, "trivial": score.trivial, "items": score.items}
            for name, score in before.items()
        ],
        losses=tuned.losses,
        question=asked,
        answers=answers + ([("truth", truth)] if truth else []),
        zooming=_looks(run, raster, with_zoom),
        detection=[Figure(picture, f"{len(found)} objects on {searched.width} x {searched.height} pixels.")],
        objects=rows,
        coordinates=columns,
        notes=[
            "Mixture: " + ", ".join(f"{name} {share:.0%}" for name, share in tuned.shares.items()) + ".",
            f"Command: rscovlm {' '.join(sys.argv[1:])}",
            f"{date.today().isoformat()}, {platform.machine()}, {platform.system()}, Python {platform.python_version()}, "
            + ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "trl")),
        ],
    )


def _places(found: Detections) -> tuple[list[tuple[str, float, float]], tuple[str, str]]:
    """Return the centres of the first objects as they stand in objects.geojson."""
    features = found.to_geojson()["features"][:8]
    rows = []
    for feature in features:
        rings = feature["geometry"]["coordinates"]
        ring = rings[0][0] if feature["geometry"]["type"] == "MultiPolygon" else rings[0]
        x, y = np.array(ring[:-1]).mean(axis=0)
        rows.append((str(feature["properties"]["label"]), float(x), float(y)))
    if found.frame.to_world() is None:
        return rows, ("x, pixels", "y, pixels")
    return rows, ("longitude", "latitude") if found.frame.crs else ("x, map units", "y, map units")


def _talks(engine: Transformers, seed: int) -> list[ReportedConversation]:
    """Hold a few conversations about scenes the model never saw."""
    rng = np.random.default_rng([seed, 23])
    talks = []
    for place in range(6):
        config = _fresh(known_scenes() if place % 2 == 0 else new_scenes())
        scene = make_scene(rng, config)
        asked, truth = _ask(scene, config.classes, place, dialect_of(engine))
        reply = engine.generate([asked.conversation([scene.image])], max_new_tokens=120)[0]
        turns = [("user", asked.user), ("assistant", reply.text.strip()), ("truth", truth)]
        talks.append(ReportedConversation(scene.image.resize((336, 336), Image.Resampling.NEAREST), turns))
    return talks


def _ask(scene: Scene, classes: tuple[str, ...], place: int, dialect: Dialect) -> tuple[Question, str]:
    """Return the question and the truth of a conversation, turning through the kinds of question."""
    if place % 3 == 0:
        truth = ", ".join(thing.label for thing in scene.objects) or "none"
        return detection_question(dialect, classes, kind="quad"), truth
    grounding = scene_questions(scene, classes, ("grounding",))
    if place % 3 == 1 and grounding:
        box = scene.objects[grounding[0].objects[0]].hbb
        asked = grounding_question(dialect, grounding[0].phrase, kind="hbb")
        return asked, ", ".join(f"{value:.0f}" for value in box)
    return classification_question(dialect), scene.scene_class
