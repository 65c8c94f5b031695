"""RemoteContour-34k: outlines of classes and phrases drawn as lines, made of LoveDA, iSAID, DeepGlobe and RefSegRS."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rscovlm.data.formats.rle import encode_rle, mask_rings
from rscovlm.data.sources.folder import PICTURES, Folder, stem_of
from rscovlm.data.sources.phrases import on_one_grid
from rscovlm.data.sources.registry import source
from rscovlm.geometry.shapes import signed_area
from rscovlm.records.record import Annotation, ImageRef, Record
from rscovlm.records.tally import Rejected
from rscovlm.records.views import load_image

# Lines are drawn in 255 and two pixels wide.
_DRAWN = 128
_SPELLING = {"algriculture": "agriculture"}


@source(
    "remotecontour-34k",
    splits=["train"],
    tasks=["segmentation"],
    licence="as its parts: LoveDA, iSAID, DeepGlobe and RefSegRS, academic use only",
    layout="""edge/<set>_<class>/<name>.png, the outlines of a class as lines of 255 two pixels wide, outer ones alone (iSAID's names begin with
    ISAID_<class>_); images/<set>/<name> with the picture of an outline, in any format. All of it may lie in Datasets/.""",
    held="""StevenMsy/DirectSAM-RS utils/M2C_1channel.py and M2C_3channel.py, which write the outlines (folders, names, width of the lines, outer
    outlines alone, the spelling of agriculture) and README.md (parts). Nothing public says where the archive keeps its pictures and the
    phrases of RefSegRS: put the pictures into images/<set>/, and read RefSegRS itself for the phrases.""",
)
def remotecontour(folder: Folder, split: str) -> Iterator[Record]:
    """Read one segmentation record a drawing: what its lines enclose, as outlines, which run on the outer edge of the lines."""
    top = "Datasets/" if (folder.root / "Datasets").is_dir() else ""
    for place in folder.folders(f"{top}edge"):
        part, _, written = place.rpartition("/")[2].partition("_")
        label = _SPELLING.get(written, written).replace("_", " ")
        for name in folder.files(place, *PICTURES):
            with folder.row(name):
                if not label:
                    raise Rejected("no class", f"folder {place!r} is not named <set>_<class>")
                stem = stem_of(name).removeprefix(f"ISAID_{written}_")
                image, drawing = folder.picture(f"{top}images/{part}", stem), folder.image(name)
                on_one_grid(image, drawing)
                objects = tuple(_enclosed(folder, drawing, label))
                if not objects:
                    folder.tally.set_aside("drawing without a line", name)
                    continue
                key = f"{part}/{written}/{stem}"
                extra = {"set": part}
                yield Record(
                    key,
                    "remotecontour-34k",
                    split,
                    "segmentation",
                    (image,),
                    categories=(label,),
                    objects=objects,
                    extra=extra,
                )


def _enclosed(folder: Folder, drawing: ImageRef, label: str) -> Iterator[Annotation]:
    """Give what each closed line encloses; the inner edge of a line is a hole of the drawing and left out."""
    lines = np.asarray(load_image(drawing, folder.root))[..., 0] >= _DRAWN
    for ring in mask_rings(encode_rle(lines)):
        if signed_area(np.reshape(ring, (-1, 2))) > 0:
            xs, ys = ring[0::2], ring[1::2]
            yield Annotation((min(xs), min(ys), max(xs), max(ys)), label, "hbb", polygons=(ring,))
