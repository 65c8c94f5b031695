"""Figures of every metric on the same inputs, recorded in ``figures.json``, so that they stay the same from version to version.

Other tests hold what a figure should be. Where a change is meant, ``python -m tests.metrics.figures`` records them anew: look at every
one that differs, and say in the changelog which figures are no longer comparable.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rscovlm import metrics
from rscovlm.metrics.final_answers import final_answer
from rscovlm.metrics.letters import chosen_letters
from rscovlm.metrics.options import OPTION_RULES
from rscovlm.metrics.rules import RULES
from rscovlm.metrics.spaces import NAMES
from rscovlm.metrics.spaces.files import metric_space
from rscovlm.metrics.texts import number_in, words

FILE = Path(__file__).with_suffix(".json")

# Answers to questions of every kind, as models word them.
SAID = [
    "", "yes", "No", "No, there is none.", "unknown", "True", "It is false", "yes or no", "Yes. There are two.", "nothing", "none", "Seven",
    "7", "There are 7 ships", "about 1,250.5 m", "twenty-three", "one hundred and five", "two thousand", "a dozen", "3 or 4", "-12", ".5", "B", "(B)", "b.",
    "Answer: B", "The answer is (C).", "The best answer is D", "A and C", "A, C", "not A but B", "A or B", "I think it is B because C is wrong", "（Ａ）", "【B】", "\\boxed{C}",
    "<think>A? B?</think><answer>C</answer>", "Option D: red", "blue", "Blue", "(B) Blue", "B, which is blue", "blue and red", "dark blue", "It is a park.",
    "a parking lot", "Dense-residential.", "dense residential", "residential", "top left", "bottom center", "It lies in the center right", "rural", "URBAN area",
    "red, green", "green red", "storage tank", "StorageTank", "the storage-tanks", "C is the right one, A and B are wrong", "None of A, B or C", "A\nB", "E",
]  # fmt: skip
TRUE = {
    "choice": ["A", "B", "AC", "(D)"], "number": ["7", "twenty three", "0", "1250.5"], "yes_no": ["yes", "no"],
    "": ["yes", "no", "7", "b", "rural", "dense residential", "bottom center", "red, blue", "park", "storage tank"],
}  # fmt: skip
OPTIONS = [
    ["(A) red", "(B) blue", "(C) dark blue", "(D) green"],
    ["A. one", "B. two", "C. seven", "D. none"],
    ["park", "parking lot", "rural", "urban area"],
]


def _rules() -> Any:
    return {
        name: ["".join(_credit(rule(said, true)) for said in SAID) for true in TRUE.get(name, TRUE[""])]
        for name, rule in RULES.items()
    }


def _option_rules() -> Any:
    return {
        name: [
            "".join(_credit(rule(said, true, options)) for said in SAID)
            for options in OPTIONS
            for true in ("A", "B", "C")
        ]
        + ["".join(_credit(rule(said, "AC", options)) for said in SAID) for options in OPTIONS if name == "choice"]
        for name, rule in OPTION_RULES.items()
    }


def _credit(credit: float | None) -> str:
    return "?" if credit is None else str(round(9 * credit))


def _worded() -> list[str]:
    """Answers put together from what multiple choices are answered with."""
    chance = random.Random(3)
    parts = [
        "A", "B", "C", "(A)", "(b)", "b", "D.", "and", "or", ",", "not", "is", "wrong", "right", "the answer is", "correct", "option", "options", "because", ":", "both", "neither", "a ship",
        "Final answer", "choose", "\n", "&", "/", "I", "E)", "**C**", "AB", "cannot be", "so", "答案是", "?", "no", "definitely", "A:", "between",
    ]  # fmt: skip
    more = [
        "neither",
        "nor",
        "cannot",
        "isn't",
        "aren't",
        "doesn't",
        "don't",
        "can't",
        "wasn’t",
        "rather than",
        "instead of",
        "unlike",
        "excluding",
        "excludes",
        "rules out",
        "incorrect",
        "false",
        "excluded",
        "ruled out",
        "true",
        "best",
        "most likely",
        "answers",
        "ans",
        "choice",
        "chose",
        "chosen",
        "pick",
        "picks",
        "select",
        "selected",
        "go with",
        "going with",
        "say",
        "guess",
        "think",
        "believe",
        "was",
        "be",
        "it's",
        "are",
        "were",
        "thus",
        "hence",
        "therefore",
        "then",
        "since",
        "as",
        "which",
        "while",
        "given",
        "due",
        "but",
        "seems",
        "looks",
        "maybe",
        "perhaps",
        "possibly",
        "the",
        "it",
        "that",
        "this",
        "all",
        "just",
        "only",
        "also",
        "clearly",
        "likely",
        "probably",
        "would",
        "should",
        "must",
        "will",
        "letters",
        "不是",
        "并非",
        "不选",
        "而非",
        "排除",
        "除了",
        "不对",
        "不正确",
        "不符",
        "错误",
        "错",
        "正确的有",
        "正确的是",
        "正解",
        "解答",
        "正答",
        "答え",
        "정답",
        "답",
        "答",
        "正确",
        "正確",
        "对的",
        "选项",
        "選択肢",
        "项",
        "項",
        "选择",
        "应选",
        "應選",
        "故选",
        "选",
        "選",
        "认为",
        "觉得",
        "是",
        "为",
        "為",
        "は",
        "が",
        "은",
        "는",
        "或者",
        "或",
        "还是",
        "または",
        "또는",
        "です",
        "입니다",
        "应该",
        "都",
        "均",
        "的",
        "比较",
        "比較",
        "最",
        "更",
        "、",
        "和",
        "与",
        "及",
        "と",
        "。",
        "A",
        "B",
        "C",
        "（B）",
        "(C)",
        "D",
    ]
    plain = [" ".join(chance.choices(parts, k=chance.randint(1, 6))) for _ in range(700)]
    # A word in question stands beside a letter: before it, behind it, and between two.
    return plain + [
        text
        for word in more
        for text in (f"{word} A", f"A {word}", f"{word}B", f"C {word} D", f"so {word} A is {chance.choice(more)} B")
    ]


def _letters() -> Any:
    return "|".join("".join(sorted(chosen_letters(text))) for text in [*SAID, *_worded()])


def _numbers() -> Any:
    chance = random.Random(4)
    parts = [
        "one", "two", "twelve", "twenty", "ninety", "hundred", "thousand", "million", "and", "-", ",", "a", "no", "none", "zero", "5", "1,200", "3.5", "ships", "about", ".", "forty-two",
        "1,20", "-7", "+4", "0", "st", "a few", "dozens",
    ]  # fmt: skip
    texts = [" ".join(chance.choices(parts, k=chance.randint(1, 5))) for _ in range(400)]
    return [number_in(text) for text in [*SAID, *texts]]


def _texts() -> Any:
    odd = [
        "<answer>x",
        "a</think>b",
        "<answer>x</answer> y",
        "x <ANSWER> y </Answer>",
        "</think></think> z",
        "Größe 3,5 km²",
        "a_b-c",
        "1.2.3",
        "it's",
    ]
    return [[final_answer(text), words(text)] for text in [*SAID, *odd]]


def _answers() -> Any:
    chance = random.Random(5)
    subsets = [
        chance.choice(["HR-comp", "HR-presence", "LR-comp", "LR-rural_urban", "HR-count", "LR-count"])
        for _ in range(60)
    ]
    true = [
        str(chance.randint(0, 9))
        if name.endswith("count")
        else "rural"
        if "rural" in name
        else chance.choice(["yes", "no"])
        for name in subsets
    ]
    said = [chance.choice([answer, answer.title() + ".", "", "no", "3"]) for answer in true]
    sources = [chance.choice(["faas", "star", "urbs"]) for _ in true]
    return {
        "answer_accuracy": metrics.answer_accuracy(said, true, groups=subsets),
        "undecided": metrics.answer_accuracy(said, true, match="vrsbench"),
        "choice": metrics.answer_accuracy(
            ["b", "", "It is blue", "A B"], ["B", "A", "B", "AB"], match="choice", options=[OPTIONS[0]] * 4
        ),
        "rsvqa": metrics.rsvqa_accuracy(said, true, subsets=subsets),
        "lrs_vqa": [
            metrics.lrs_vqa_aa(said, true, categories=subsets, sources=sources, normalisation=name)
            for name in ("official", "rscovlm")
        ],
        "counts": metrics.count_error(
            [*said[:20], "many", "-2", "1e9", "seven"], [*map(str, range(20)), 4, 2, "10", 7.0]
        ),
        "places": metrics.place_accuracy(
            [(48.9, 2.4), None, (0.1, 0.1), (35.0, 139.0), (-33.0, 151.0), (10.0, 170.0)],
            [(48.86, 2.35), (0.0, 0.0), (0.0, 0.0), (35.68, 139.69), (-33.87, 151.21), (10.0, -170.0)],
            cities=["Paris, France", "", "x", "tokyo", "SYDNEY", "-"],
            true_cities=["paris", "Rome", "", "Tōkyō, Japan", "Sydney", "-"],
        ),
        "selective": metrics.selective_risk(
            [chance.choice([0.0, 0.5, 1.0]) for _ in range(40)], [chance.randint(0, 9) / 9 for _ in range(40)]
        ),
    }


def _scenes() -> Any:
    classes = ["dense residential", "park", "parking lot", "storage tank", "farm land"]
    chance = random.Random(6)
    true = [chance.choice(classes[:4]) for _ in range(40)]
    said = [chance.choice([name, f"A {name.title()}.", "park", "parking", "farmland", "a sea", ""]) for name in true]
    several = [chance.sample(classes, 2) for _ in range(30)]
    listed = [", ".join(chance.sample(names, 1) + chance.sample([*classes, "sea"], 1)) for names in several]
    return {
        "class": metrics.scene_accuracy(said, true, classes=classes),
        "geochat": metrics.scene_accuracy(said, true, match="geochat"),
        "labels": metrics.multi_label_f1(listed, several),
        "all labels": metrics.multi_label_f1(listed, several, classes=[*classes, "lake"]),
    }


def _captions() -> Any:
    said = ["Many ships are in the harbour.", "A green field near a road", "two planes, on the runway", "a"]
    true = [
        ["Some ships are docked in a harbour.", "many boats in a port"],
        "A road runs along a green field.",
        ["Two planes are parked on the runway."] * 2,
        ["the sea"],
    ]
    return metrics.caption_scores(said, true)


def _boxes(chance: random.Random, count: int) -> list[list[float]]:
    found = []
    for _ in range(count):
        x, y, w, h, turn = (
            chance.uniform(50, 250),
            chance.uniform(40, 150),
            chance.uniform(20, 60),
            chance.uniform(6, 40),
            chance.uniform(0, 3.14),
        )
        c, s = math.cos(turn), math.sin(turn)
        found.append(
            [
                round(value, 1)
                for u, v in ((-w, -h), (w, -h), (w, h), (-w, h))
                for value in (x + u * c - v * s, y + u * s + v * c)
            ]
        )
    return found


def _detections(scores: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    chance = random.Random(7)
    found, true = [], []
    for _ in range(5):
        boxes = _boxes(chance, chance.randint(1, 7))
        names = [chance.choice(["ship", "plane", "bridge"]) for _ in boxes]
        true.append({"boxes": boxes, "labels": names, "difficult": [chance.random() < 0.2 for _ in boxes]})
        mine: list[list[float]] = _boxes(chance, 2)
        labels = [chance.choice(["ship", "plane"]) for _ in mine]
        for box, name in zip(boxes, names, strict=True):
            for _ in range(chance.choice([0, 1, 1, 1, 2])):
                mine.append([value + chance.gauss(0, 4) for value in box])
                labels.append(chance.choice([name, name, name, "ship"]))
        item: dict[str, Any] = {"boxes": mine, "labels": labels}
        found.append(item | {"scores": [chance.randint(1, 9) / 10 for _ in mine]} if scores else item)
    return found, true


def _ap_nc() -> Any:
    plain, scored = _detections(False), _detections(True)
    return {
        "dota": metrics.ap_nc(*plain),
        "rscovlm": metrics.ap_nc(*plain, protocol="rscovlm", classes=["ship", "plane", "bridge", "crane"]),
        "scores": metrics.ap_nc(*scored, ties="stable", interpolation="101point", strict=False),
        "seed": metrics.ap_nc(
            *scored,
            seed=3,
            repeats=4,
            interpolation="area",
            overlap="rectangle",
            difficult="count",
            iou_thresholds=[0.3, 0.6],
        ),
        "redrawn": metrics.bootstrap_ap_nc(
            *plain, clusters=["a", "b", "b", "c", "d"], repeats=30, orders=2, confidence=0.8
        ),
        "threshold": metrics.calibrate_threshold(
            *scored,
            apply_to=(scored[0][:3], scored[1][:3]),
            score_thresholds=[0.2, 0.5, 0.8],
            value="ap_nc75",
            repeats=3,
        ),
    }


def _matched() -> Any:
    found, true = _detections(True)
    boxes = [metrics.match_boxes(mine, theirs, iou=0.4) for mine, theirs in zip(found, true, strict=True)]
    tiles = [
        {"image": "P1", "offset": [100 * k, 30], **{key: item[key] for key in ("boxes", "labels", "scores")}}
        for k, item in enumerate(found)
    ]
    merged = {str(shape): metrics.merge_tiles(tiles, iou=0.2, shape=shape)["P1"] for shape in ("rectangle", "quad")}
    return {"boxes": boxes, "drawn": [metrics.matches_svg(found[1], true[1], protocol="rscovlm")], "merged": merged}


def _grounding() -> Any:
    chance = random.Random(8)
    true = [[round(chance.uniform(0, 90), 1), round(chance.uniform(0, 90), 1)] for _ in range(30)]
    boxes = [[x, y, x + chance.randint(1, 40), y + chance.randint(1, 40)] for x, y in true]
    said = [
        None if k % 9 == 8 else [value + chance.choice([0, 0, 1, 3, -4]) for value in box]
        for k, box in enumerate(boxes)
    ]
    options: list[dict[str, Any]] = [
        {},
        {"thresholds": (0.3, 0.5, 0.9), "strict": False},
        {"protocol": "rscovlm"},
        {"overlap": "horizontal"},
    ]
    quads = _boxes(chance, 10)
    turned = [[value + chance.gauss(0, 2) for value in box] for box in quads]
    texts = [
        "12,30,40,50 ship",
        '[{"bbox_2d": [1, 2, 3, 4]}]',
        "none",
        "1.5, 2, 3, 4",
        '{"bbox_2d": [5, 6, 7]}',
        "(3,4),(5,6)",
    ]
    return {
        "boxes": [metrics.grounding_accuracy(said, boxes, **one) for one in options],
        "turned": [metrics.grounding_accuracy(turned, quads, **one) for one in (options[0], options[3])],
        "rescaled": [metrics.rescaled(box, (100, 50), (1000, 900)) for box in (*said[:9], None)],
        "answers": [metrics.rscovlm_answer(text, style) for text in texts for style in ("plain", "json")],
    }


def _masks() -> Any:
    chance = random.Random(9)
    true, found = [], []
    for _ in range(4):
        mask = np.zeros((30, 40), np.uint8)
        for _ in range(3):
            x, y = chance.randrange(34), chance.randrange(26)
            mask[y : y + chance.randint(1, 9), x : x + chance.randint(1, 9)] = chance.randint(1, 3)
        moved = np.roll(mask, (chance.randint(-1, 1), chance.randint(0, 1)), (0, 1))
        moved[:3, : chance.randint(0, 4)] = 2
        true.append(mask)
        found.append(moved)
    plain = [[mask > 0 for mask in masks] for masks in (found, true)]
    return {
        "iou": metrics.mask_iou(*plain, thresholds=(0.4, 0.8)),
        "classes": [metrics.class_iou(found, true, 4), metrics.class_iou(found, true, 5, ignore=0)],
        "change": metrics.change_score(*plain),
        "boundary": [
            metrics.boundary_f1(*plain),
            metrics.boundary_f1(*plain, tolerance=2.0),
            metrics.boundary_f1(*plain, share=0.05),
        ],
        "instances": [
            metrics.change_ap_nc(*plain, repeats=3),
            metrics.change_ap_nc(found, true, instances="labels", strict=False, iou_thresholds=[0.2, 0.5]),
        ],
    }


def _redrawn() -> Any:
    chance = random.Random(10)
    one, two = ([chance.random() for _ in range(24)] for _ in range(2))
    groups = [chance.randrange(9) for _ in one]

    def mean(values: Any) -> float:
        return float(np.mean(values))

    return [
        metrics.bootstrap(mean, one, repeats=50),
        metrics.bootstrap(mean, one, clusters=groups, repeats=50, confidence=0.8, seed=2),
        metrics.paired_test(mean, one, two, clusters=groups, repeats=50),
    ]


def _spaces() -> Any:
    found: dict[str, Any] = {}
    for name in NAMES:
        space = metric_space(name)
        said, true = space.page.example
        stored = [space.store_prediction(one) for one in said], [space.store_reference(one) for one in true]
        shown = [space.page.evaluate(said, true, choice, 0) for choice in space.page.choices]
        page = [space.page.headers, space.page.option, space.page.choices, space.page.item, space.page.legend]
        found[name] = {"computed": space.compute(*stored), "shown": shown, "stored": stored, "page": page}
    odd = metric_space("ap_nc").store_prediction
    found["odd"] = [
        odd(None),
        odd({"boxes": [[0] * 8], "labels": [3], "scores": [0.5], "more": 1}),
        odd({"boxes": [], "labels": []}),
    ]
    item = {"answer": "pier", "category": "x", "source": "y", "hbox": [1, 2, 30, 40]}
    evaluate = metric_space("lrs_vqa_aa").page.evaluate
    found["boxes"] = [
        evaluate(said, [item, item | {"answer": "ship"}], "official", 0)
        for said in (["pier", "sea"], [{"answer": "pier", "hbox": [1, 2, 30, 38]}, {"answer": "ship"}])
    ]
    acc = metric_space("acc_at_05").page.evaluate
    found["quads"] = [
        acc([[20, 20, 8, 4, 30], [9, 9, 2, 3]], [[20, 20, 8, 5, 30], [2, 3, 9, 9]], "plain", item) for item in (0, 1)
    ]
    return found


FIGURES: dict[str, Callable[[], Any]] = {
    "rules": _rules, "rules with options": _option_rules, "letters": _letters, "numbers": _numbers, "texts": _texts, "answers": _answers, "scenes": _scenes,
    "captions": _captions, "ap_nc": _ap_nc, "matched boxes": _matched, "grounding": _grounding, "masks": _masks, "redrawn": _redrawn, "spaces": _spaces,
}  # fmt: skip


def figures(name: str) -> Any:
    """Return figures as JSON has them, of 6 decimals."""
    return _plain(FIGURES[name]())


def recorded() -> dict[str, Any]:
    """Return the figures that were recorded."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        return [_plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return round(float(value), 6)
    return value.item() if isinstance(value, np.generic) else value


if __name__ == "__main__":
    parts = (f"{json.dumps(name)}: {json.dumps(figures(name), ensure_ascii=False)}" for name in FIGURES)
    FILE.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
