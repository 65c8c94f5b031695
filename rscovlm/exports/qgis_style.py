"""A style for QGIS: each class of a file of objects in its colour, read by QGIS where it lies beside the file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree as Tree

from PIL import ImageColor

from rscovlm.exports.drawing import colours_of
from rscovlm.files import mark, write_text

STYLE = "qgis-style"


def write_qgis_style(path: str | os.PathLike[str], labels: Iterable[str], *, overwrite: bool = False) -> Path:
    """Write a style (``.qml``) that draws each class in the colour of our drawings and pages.

    QGIS applies ``found.qml`` by itself when it opens ``found.geojson`` or ``found.gpkg`` in the same folder.

    Args:
        path: File to write, named like the file of objects with the ending ``.qml``.
        labels: Class names.
        overwrite: Replace a file that something else wrote.

    Raises:
        ValueError: The path holds another file.
    """
    colours = colours_of(labels)
    root = Tree.Element("qgis", version="3.22", styleCategories="Symbology")
    root.append(Tree.Comment(mark(STYLE)))
    renderer = Tree.SubElement(root, "renderer-v2", type="categorizedSymbol", attr="label", symbollevels="0")
    categories, symbols = Tree.SubElement(renderer, "categories"), Tree.SubElement(renderer, "symbols")
    for number, (label, colour) in enumerate(colours.items()):
        Tree.SubElement(categories, "category", symbol=str(number), value=label, label=label, render="true")
        symbol = Tree.SubElement(symbols, "symbol", type="fill", name=str(number), alpha="1", clip_to_extent="1")
        layer = Tree.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"})
        red, green, blue = ImageColor.getrgb(colour)[:3]
        options = Tree.SubElement(layer, "Option", type="Map")
        values = {
            "style": "no",
            "outline_color": f"{red},{green},{blue},255",
            "outline_width": "0.6",
            "outline_style": "solid",
        }
        for name, value in values.items():
            Tree.SubElement(options, "Option", type="QString", name=name, value=value)
    Tree.indent(root)
    head = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
    return write_text(path, head + Tree.tostring(root, encoding="unicode") + "\n", STYLE, overwrite=overwrite)
