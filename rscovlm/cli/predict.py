"""``rscovlm predict``: files, folders or a manifest in, one JSON row an image out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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


@answers
def predict(
    sources: Annotated[
        list[Path] | None, typer.Argument(help="Images, folders of images, or .jsonl manifests.")
    ] = None,
    out: Annotated[Path, typer.Option(help="JSONL file; a second run resumes from it.")] = Path("predictions.jsonl"),
    task: Annotated[
        str,
        typer.Option(
            help="What to do: ask, detect, ground, classify, caption, count, segment, change, locate, conditions, or yours.",
            autocompletion=choices.known("rscovlm.tasks.table:asked_tasks"),
        ),
    ] = "ask",
    question: Annotated[str | None, typer.Option(help="What to ask about every image.")] = None,
    find: Annotated[list[str] | None, typer.Option(help="What to point at; may be repeated.")] = None,
    classes: Annotated[str | None, typer.Option(help="Class names, separated by commas.")] = None,
    geojson: Annotated[Path | None, typer.Option(help="Also write all objects or places as GeoJSON.")] = None,
    geopackage: Annotated[Path | None, typer.Option(help="Also write all objects as GeoPackage.")] = None,
    geoparquet: Annotated[Path | None, typer.Option(help="Also write all objects as GeoParquet.")] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Also write the masks of each image as a GeoTIFF of numbers, to this folder.")
    ] = None,
    coco_masks: Annotated[Path | None, typer.Option(help="Also write all masks as COCO run lengths.")] = None,
    stac: Annotated[
        list[Path] | None, typer.Option(help="STAC item with a local image; may be given again, in place of SOURCES.")
    ] = None,
    stac_asset: Annotated[str | None, typer.Option(help="Key of the asset to look at; an image is found.")] = None,
    stac_out: Annotated[
        Path | None,
        typer.Option(help="Write each STAC item again, with its objects as one more asset, to this folder."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Let --geojson and the like replace any file; --out never does.")
    ] = False,
    model: ModelOption = None,
    revision: RevisionOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = "auto",
    server: Annotated[
        list[str] | None, typer.Option(help="Ask OpenAI-compatible servers instead; their key: RSCOVLM_API_KEY.")
    ] = None,
    max_pixels: MaxPixelsOption = None,
    dialect: DialectOption = None,
    wording: WordingOption = None,
    processor: ProcessorOption = None,
    budget: BudgetOption = None,
    probe: ProbeOption = True,
    mode: Annotated[
        str, choices.option(choices.MODES, "max enlarges pictures to the largest the model sees.")
    ] = "native",
    kind: Annotated[str | None, choices.option(choices.KINDS, "Box kind.")] = None,
    tile: Annotated[int | None, typer.Option(min=1, help="Side of detection tiles in pixels.")] = None,
    overlap: Annotated[
        float | None, typer.Option(min=0, help="What tiles share, in pixels, or as a share of the tile when below 1.")
    ] = None,
    bands: Annotated[
        str | None, typer.Option(help="One or three bands to show, counted from 1, such as 4,3,2.")
    ] = None,
    stretch: Annotated[str | None, choices.option(choices.STRETCHES, "How numbers become grey levels.")] = None,
    nodata: Annotated[float | None, typer.Option(help="The number that means nothing was measured.")] = None,
    crs: Annotated[str | None, typer.Option(help="The images' coordinate system, such as EPSG:32633.")] = None,
    vrt: Annotated[bool, typer.Option("--vrt", help="Open GDAL virtual files (.vrt) that are named.")] = False,
    side_files: Annotated[
        bool, typer.Option("--side-files", help="Use masks (.msk), projections (.prj) and .aux.xml beside images.")
    ] = False,
    opaque: Annotated[
        bool, typer.Option("--opaque", help="Take every pixel as valid: the fourth band is infrared, no alpha.")
    ] = False,
    tiled: Annotated[
        bool,
        typer.Option("--tiled", help="Decode large PNG and JPEG once, into tiled copies in the user's cache folder."),
    ] = False,
    segmenter: Annotated[
        str,
        typer.Option(
            help="SAM 2 checkpoint that draws masks, embedded, or filled; filled but for the model in the package."
        ),
    ] = "",
    form: Annotated[
        str | None,
        choices.option(
            choices.FORMS, "What segmentation is answered with: prompt (box and points), polygon, or box, as detection."
        ),
    ] = None,
    refine: Annotated[
        int,
        typer.Option(min=0, help="Draw masks of segmentation again: show them to the model, or take boxes from them."),
    ] = 0,
    zoom: Annotated[bool, typer.Option(help="Let the model look closer.")] = True,
    shard: Annotated[
        str | None, typer.Option(help="The part that this process takes, such as 2/4; rscovlm merge joins the files.")
    ] = None,
    policy: Annotated[
        str,
        choices.option(choices.POLICIES, "Where to look; call: where the model asks to."),
    ] = "call",
    batch: Annotated[int, typer.Option(min=1, help="Images in one batch.")] = 16,
    constrained: Annotated[bool, typer.Option(help="Hold answers to their grammar: each can be read.")] = False,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens of one answer at most; by default the task's own limit.")
    ] = None,
) -> CommandAnswer:
    """Answer about many images, one JSON row each; resumable, and safe against being killed."""
    from rscovlm.exports.geoparquet import check_pyarrow
    from rscovlm.files import check_output
    from rscovlm.points.loading import EMBEDDED
    from rscovlm.predicting.latest_rows import LatestRows
    from rscovlm.predicting.mask_rows import write_row_coco, write_row_masks
    from rscovlm.predicting.placed_rows import write_objects
    from rscovlm.predicting.prediction import DefaultQuestion, check_out
    from rscovlm.predicting.prediction import predict as run
    from rscovlm.predicting.shards import Shard
    from rscovlm.predicting.stac import write_stac
    from rscovlm.serving.loading import load_engine
    from rscovlm.tasks import task_named

    names = tuple(name.strip() for name in classes.split(",") if name.strip()) if classes else None
    with refusals("rscovlm predict"):
        # The model in the package knows boxes but no sets of points, and has a segmenter that knows its scenes.
        own = task_named(task).in_boxes and model is None and not server
        asked = DefaultQuestion(
            task,
            question,
            tuple(find) if find else None,
            names,
            kind,  # type: ignore[arg-type]  # checked by the prompts
            zoom,
            tile,
            model or "embedded",
            constrained,
            overlap,
            mode,  # type: ignore[arg-type]  # checked there
            _opening(
                bands,
                stretch=stretch,
                nodata=nodata,
                crs=crs,
                allow_vrt=vrt or None,
                side_files=side_files or None,
                opaque=opaque or None,
            ),
            revision,
            policy,
            segmenter or (EMBEDDED if own else ""),
            max_new_tokens,
            tiled,
            form or ("box" if own else None),  # type: ignore[arg-type]  # checked there
            refine or None,
        )
        # Everything that can be refused is refused before the model is loaded.
        part = None if shard is None else Shard.parse(shard)
        out = out if part is None else part.out(out)
        check_out(out)
        maps = _maps(geojson=geojson, geopackage=geopackage, geoparquet=geoparquet)
        for kind_of_map, path in maps.items():
            check_output(path, kind_of_map, overwrite=overwrite)
        if geoparquet is not None:
            check_pyarrow()
        _check_masks(task, masks, coco_masks, overwrite=overwrite)
        items, stac_sources = _items(sources or [], stac or [], stac_asset)
        if stac_out is not None:
            _check_stac(task, stac or [], stac_out, overwrite=overwrite)
        items = items if part is None else part.of(items)
        for item in items:
            asked.of(item)
        engine = load_engine(
            model,
            endpoints=server,
            batch_size=batch,
            revision=revision,
            device=device,
            dtype=dtype,
            max_pixels=max_pixels,
            mode=None if mode == "native" or task_named(task).tiled else "max",
            dialect=dialect,
            wording=wording,
            processor=processor,
            budget=budget,
            probe=probe,
        )
        counts = run(engine, items, asked, out, batch=batch, progress=ProgressBar("images"))
        anew = f" ({counts['changed']} of them asked anew: question or image changed)" if "changed" in counts else ""
        cut = f" ({counts['truncated']} truncated: raise --max-new-tokens)" if "truncated" in counts else ""
        say(f"{counts['done']} done{anew}{cut}, {counts['before']} before, {counts['errors']} errors: {out}")
        written: dict[str, Any] = {}
        rows = LatestRows(out, only=[item.id for item in items]) if maps or masks or coco_masks or stac_out else {}
        for kind_of_map, path in maps.items():
            objects, left_out = write_objects(rows, path, kind_of_map, report=_not_placed, overwrite=overwrite)
            written[kind_of_map] = {"path": path, "objects": objects, "images_left_out": left_out}
            say(f"{objects} objects, {left_out} images without a place left out: {path}")
        if masks is not None:
            written["masks"] = {"path": masks, "masks": write_row_masks(rows, masks, overwrite=overwrite)}
            say(f"{written['masks']['masks']} masks: {masks}")
        if coco_masks is not None:
            written["coco_masks"] = {"path": coco_masks, "masks": write_row_coco(rows, coco_masks, overwrite=overwrite)}
            say(f"{written['coco_masks']['masks']} masks: {coco_masks}")
        if stac_out is not None:
            written["stac"] = {"path": stac_out, "items": write_stac(stac_sources, rows, stac_out, overwrite=overwrite)}
            say(f"{written['stac']['items']} STAC items: {stac_out}")
    return CommandAnswer({"out": out, **counts, "written": written}, code=1 if counts["errors"] else 0)


def _items(sources: list[Path], stac: list[Path], asset: str | None) -> tuple[list[Any], dict[str, Any]]:
    """Return what is predicted on, and the STAC items that some of it came from.

    Raises:
        ValueError: Neither is given, an option has no meaning, or an id occurs twice.
    """
    from rscovlm.predicting.items import find_items
    from rscovlm.predicting.stac import stac_items

    if asset is not None and not stac:
        raise ValueError(f"--stac-asset is {asset!r} and no --stac is given; give both or none")
    found, known = stac_items(stac, asset)
    items = find_items(sources) if sources or not stac else []
    twice = {one.id for one in items} & known.keys()
    if twice:
        raise ValueError(f"id {min(twice)!r} is that of an image and of a STAC item; run them one after another")
    return [*items, *found], known


def _check_stac(task: str, stac: list[Path], folder: Path, *, overwrite: bool) -> None:
    """Refuse an output of STAC items that could not be written.

    Raises:
        ValueError: No items are read, the task finds no objects, or something else is there.
    """
    from rscovlm.predicting.stac import check_stac_folder
    from rscovlm.tasks import task_named

    if not stac:
        raise ValueError("--stac-out writes items again that --stac names; give --stac")
    if not task_named(task).finds:
        raise ValueError(f"task {task!r} finds no objects; choose detect, ground, segment or change for --stac-out")
    check_stac_folder(folder, overwrite=overwrite)


def _opening(bands: str | None, **given: Any) -> dict[str, Any]:
    """Return the arguments of ``open_image`` that were given."""
    if bands is not None:
        try:
            given["bands"] = [int(band) for band in bands.split(",")]
        except ValueError as error:
            raise ValueError(f"--bands is {bands!r}; give one or three numbers such as 4,3,2") from error
    return {name: value for name, value in given.items() if value is not None}


def _maps(**named: Path | None) -> dict[str, Path]:
    """Return the files of objects that are wanted, by kind.

    Raises:
        ValueError: Two are the same file.
    """
    given = {form: path for form, path in named.items() if path is not None}
    if len({path.resolve() for path in given.values()}) < len(given):
        raise ValueError(f"{' and '.join(f'--{form}' for form in given)} name one file twice; give each its own")
    return given


def _check_masks(task: str, folder: Path | None, coco: Path | None, *, overwrite: bool) -> None:
    """Refuse outputs of masks that could not be written.

    Raises:
        ValueError: The task gives no masks, or something else is there.
    """
    from rscovlm.exports.mask_files import COCO, MASKS
    from rscovlm.files import check_folder, check_output
    from rscovlm.tasks import task_named

    if (folder is not None or coco is not None) and not task_named(task).masked:
        option = "--masks" if folder is not None else "--coco-masks"
        raise ValueError(f"task {task!r} gives no masks; leave out {option}, or choose --task segment or change")
    if folder is not None:
        check_folder(folder, MASKS, overwrite=overwrite)
    if coco is not None:
        check_output(coco, COCO, overwrite=overwrite)


def _not_placed(name: str, reason: str) -> None:
    say(f"not placed: {name}: {reason}", err=True)
