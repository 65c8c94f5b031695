"""Pascal VOC XML as remote-sensing sets write it: `bndbox`, or `robndbox` with four named corners."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from rscovlm.data.sources.folder import value
from rscovlm.records.record import Annotation
from rscovlm.records.rows import as_whole
from rscovlm.records.tally import Rejected

_CORNERS = [f"{axis}_{corner}" for corner in ("left_top", "right_top", "right_bottom", "left_bottom") for axis in "xy"]
_SIDES = ["xmin", "ymin", "xmax", "ymax"]


def parse_voc(root: Element) -> tuple[tuple[Annotation, ...], tuple[int, int]]:
    """Read the objects and (width, height) of one VOC document; (0, 0) if it does not say.

    VOC counts pixels from 1 with both ends inside, but none of the sets read here does; numbers are taken as they stand.

    Raises:
        ValueError: It is no VOC document, or an element is missing or no number.
    """
    if root.tag != "annotation":
        raise Rejected("missing element", f"the file begins with <{root.tag}>, not <annotation>")
    given = [(root.findtext(f"size/{side}") or "").strip() for side in ("width", "height")]
    size = (as_whole(float(given[0])), as_whole(float(given[1]))) if all(given) else (0, 0)
    return tuple(map(_object, root.iter("object"))), size


def _object(element: Element) -> Annotation:
    label, hard = value(element, "name"), (element.findtext("difficult") or "0").strip() not in ("", "0")
    oriented, upright = element.find("robndbox"), element.find("bndbox")
    if oriented is not None:
        return Annotation(_floats(oriented, _CORNERS), label, "quad", difficult=hard)
    if upright is None:
        raise Rejected("missing element", f"object {label!r} has neither robndbox nor bndbox")
    return Annotation(_floats(upright, _SIDES), label, "hbb", difficult=hard)


def _floats(element: Element, names: Iterable[str]) -> tuple[float, ...]:
    return tuple(float(value(element, name)) for name in names)
