"""Answers as the families of models publish them, written by hand and not by our writer.

Each is of one or two objects; the places are worked out by hand from the numbers, on a grid of 1000 x 500 pixels.
"""

from __future__ import annotations

from typing import NamedTuple

from rscovlm.geometry import Frame

GRID = Frame(1000, 500)


class Published(NamedTuple):
    """An answer, and what it means: boxes around each object in pixels of `GRID`, and labels."""

    text: str
    boxes: list[list[float]]
    labels: list[str]


PUBLISHED: dict[str, list[Published]] = {
    "rscovlm-v1": [
        Published("287,97,333,97,333,148,287,148 ship\n", [[287, 97, 333, 148]], ["ship"]),
        Published("287,97,333,148 large vehicle\n1,2,30,40 plane\n", [[287, 97, 333, 148], [1, 2, 30, 40]], ["large vehicle", "plane"]),
    ],
    "qwen2.5-vl": [
        Published('```json\n[\n\t{"bbox_2d": [287, 97, 333, 148], "label": "ship"}\n]\n```', [[287, 97, 333, 148]], ["ship"]),
        Published('[{"bbox_2d": [287, 97, 333, 148], "label": "ship"}, {"bbox_2d": [1, 2, 3, 4], "label": "a car"}]',
                  [[287, 97, 333, 148], [1, 2, 3, 4]], ["ship", "a car"]),
    ],
    "qwen3-vl": [
        Published('```json\n[\n\t{"bbox_2d": [287, 194, 333, 296], "label": "ship"}\n]\n```', [[287, 97, 333, 148]], ["ship"]),
    ],
    "qwen2-vl": [
        Published("<|object_ref_start|>the ship<|object_ref_end|><|box_start|>(287,194),(333,296)<|box_end|>", [[287, 97, 333, 148]], ["the ship"]),
        Published("<|object_ref_start|>ships<|object_ref_end|><|box_start|>(287,194),(333,296)<|box_end|><|box_start|>(1,2),(3,4)<|box_end|>",
                  [[287, 97, 333, 148], [1, 1, 3, 2]], ["ships", "ships"]),
    ],
    "qwen-vl": [Published("<ref>ship</ref><box>(287,194),(333,296)</box>", [[287, 97, 333, 148]], ["ship"])],
    "internvl": [
        Published("<ref>ship</ref><box>[[287, 194, 333, 296]]</box>", [[287, 97, 333, 148]], ["ship"]),
        Published("Sure: <ref>ship</ref><box>[[287, 194, 333, 296], [0, 0, 10, 20]]</box> and <ref>a car</ref><box>[[1, 2, 3, 4]]</box>.",
                  [[287, 97, 333, 148], [0, 0, 10, 10], [1, 1, 3, 2]], ["ship", "ship", "a car"]),
    ],
    "geochat": [
        Published("<p>ship</p> {<28><18><33><28>}", [[280, 90, 330, 140]], ["ship"]),
        Published("{<28><20><32><30>|<90>}", [[275, 105, 325, 145]], [""]),
        Published("<p>2 small cars</p> {<40><80><44><90>|<0>}<delim>{<10><20><14><30>|<0>}", [[400, 400, 440, 450], [100, 100, 140, 150]], ["2 small cars"] * 2),
    ],
    "earthdial": [
        Published("[[28, 20, 32, 30, 90]]", [[275, 105, 325, 145]], [""]),
        Published("[[19, 20, 23, 24, 0]][[40, 40, 44, 44, 0]]", [[190, 100, 230, 120], [400, 200, 440, 220]], ["", ""]),
    ],
    "geoground": [
        Published("<hbox>(287,194,333,296)</hbox>", [[287, 97, 333, 148]], [""]),
        Published("<rbox>(30,20,4,2,0)</rbox>", [[280, 90, 320, 110]], [""]),
    ],
    "vhm": [
        Published("[0.287, 0.194, 0.333, 0.296]", [[287, 97, 333, 148]], [""]),
        Published("[0.1,0.2,0.3,0.4]\n[0.5,0.5,0.75,1.0]", [[100, 100, 300, 200], [500, 250, 750, 500]], ["", ""]),
    ],
    "gemini": [
        Published('```json\n[\n  {"box_2d": [194, 287, 296, 333], "label": "ship"}\n]\n```', [[287, 97, 333, 148]], ["ship"]),
    ],
    "paligemma": [
        Published("<loc0256><loc0512><loc0511><loc0767> ship", [[500.488, 125.244, 749.512, 249.756]], ["ship"]),
        Published("<loc0000><loc0000><loc0127><loc0511> a ship ; <loc0256><loc0512><loc0511><loc0767> ship",
                  [[0.488, 0.244, 499.512, 62.256], [500.488, 125.244, 749.512, 249.756]], ["a ship", "ship"]),
    ],
    "florence-2": [
        Published("ship<loc_287><loc_194><loc_333><loc_296>", [[287.5, 97.25, 333.5, 148.25]], ["ship"]),
        Published("car<loc_0><loc_0><loc_9><loc_19>door handle<loc_10><loc_20><loc_30><loc_40><loc_50><loc_60><loc_70><loc_80>",
                  [[0.5, 0.25, 9.5, 9.75], [10.5, 10.25, 30.5, 20.25], [50.5, 30.25, 70.5, 40.25]], ["car", "door handle", "door handle"]),
    ],
    "rex-omni": [
        Published("<|object_ref_start|>ship<|object_ref_end|><|box_start|><0><0><999><999>, <333><333><666><666><|box_end|>",
                  [[0, 0, 1000, 500], [333.333, 166.667, 666.667, 333.333]], ["ship", "ship"]),
    ],
    "deepseek-vl2": [
        Published("<|ref|>ship<|/ref|><|det|>[[0, 0, 333, 666]]<|/det|>", [[0, 0, 333.333, 333.333]], ["ship"]),
    ],
}  # fmt: skip

POINTS: dict[str, list[tuple[str, list[list[float]], list[str]]]] = {
    "molmo": [
        ('<point x="28.7" y="19.4" alt="ship">ship</point>', [[287, 97]], ["ship"]),
        ('<points x1="28.7" y1="19.4" x2="50.0" y2="50.0" alt="ships">ships</points>', [[287, 97], [500, 250]], ["ships"] * 2),
    ],
    "qwen3-vl": [('[{"point_2d": [287, 194], "label": "ship"}]', [[287, 97]], ["ship"])],
    "gemini": [('[{"point": [194, 287], "label": "ship"}]', [[287, 97]], ["ship"])],
    "rex-omni": [("<|object_ref_start|>ship<|object_ref_end|><|box_start|><999><0>, <0><999><|box_end|>", [[1000, 0], [0, 500]], ["ship"] * 2)],
}  # fmt: skip
