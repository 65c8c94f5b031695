"""Instructions in English to plans by rules, without a model."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from rscovlm.codec.categories import referent
from rscovlm.metrics.texts import number_in
from rscovlm.points.conditions import PARTS, ConditionPlan, SubInstruction

LONGEST = 1000
"""Characters of an instruction; longer ones are for a model."""

_UNITS = {"m": 1.0, "metre": 1.0, "meter": 1.0, "km": 1000.0, "kilometre": 1000.0, "kilometer": 1000.0}
_UNITS |= {"ft": 0.3048, "foot": 0.3048, "feet": 0.3048, "mile": 1609.344, "px": 1.0, "pixel": 1.0}
_LENGTH = (
    r"(?P<number>\d+(?:[.,]\d+)?)\s*(?P<unit>km|kilomet(?:re|er)s?|met(?:re|er)s?|m|feet|foot|ft|miles?|pixels?|px)\b"
)

_POLITE = (
    r"^(?:please\s+)?(?:(?:can|could|would)\s+you\s+(?:please\s+)?|i\s+(?:want|need|would\s+like)\s+(?:you\s+)?to\s+)?"
)
_ASK = re.compile(
    _POLITE
    + r"(?:(?:find|show(?: me)?|see|locate|mark|highlight|detect|segment|outline|list|select|give(?: me)?|identify|display|spot|pick out|"
    r"draw (?:a |the )?(?:box|boxes|outline|outlines) (?:around|of)|point (?:out|at|to)|(?:tell me )?where (?:is|are)|(?:tell me )?(?:which|what) (?:is|are)|"
    r"i(?:'m| am) looking for|i (?:want|need)|(?:tell me )?(?:which|what)(?= .*\b(?:is|are)\b))\s+"
    r"(?:the (?:location|position|place)s? of\s+)?)",
    re.IGNORECASE,
)
_COUNT = re.compile(
    _POLITE + r"(?:(?:(?:tell me|report|say) )?how many\s+(?:of\s+(?:the\s+)?)?|what number of\s+|"
    r"(?:count|(?:tell me )?what is|give(?: me)?|tell me|report|(?=(?:the\s+)?(?:number|count) of))\s*"
    r"(?:the\s+)?(?:number|count) of\s+|count\s+)",
    re.IGNORECASE,
)
_LEADS = {
    "largest": "largest|biggest|widest|most extensive",
    "smallest": "smallest|tiniest",
    "leftmost": "left[- ]?most|(?:farthest|furthest)(?: to the)? left",
    "rightmost": "right[- ]?most|(?:farthest|furthest)(?: to the)? right",
    "topmost": "top[- ]?most|upper[- ]?most|highest",
    "bottommost": "bottom[- ]?most|lower[- ]?most|lowest",
    "northernmost": "north(?:ern)?[- ]?most|most north(?:erly|ern)|(?:farthest|furthest) north",
    "southernmost": "south(?:ern)?[- ]?most|most south(?:erly|ern)|(?:farthest|furthest) south",
    "easternmost": "east(?:ern)?[- ]?most|most east(?:erly|ern)|(?:farthest|furthest) east",
    "westernmost": "west(?:ern)?[- ]?most|most west(?:erly|ern)|(?:farthest|furthest) west",
}
_NUMBER = r"(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten)"
_LEAD = re.compile(
    rf"\b(?:(?P<count>{_NUMBER})\s+)?(?:{'|'.join(f'(?P<{name}>{words})' for name, words in _LEADS.items())})\b",
    re.IGNORECASE,
)
_THAT = (
    r"(?:(?:that|which|who)\s+(?:is|are|lies?|stands?|sits?)\s+|"
    r"(?:is|are|lying|standing|located|situated|positioned|placed|found|contained|"
    r"lined up|parked|moored)\s+)*"
)
_SIDE = {"left": "left_of", "right": "right_of", "top": "above", "upper": "above", "bottom": "below", "lower": "below"}
_SIDE |= {"north": "north_of", "south": "south_of", "east": "east_of", "west": "west_of"}
_SIDE_WORDS = r"left|right|top|upper|bottom|lower|north|south|east|west"
_PART_NAMES = {"upper": "top", "lower": "bottom", "middle": "centre", "center": "centre"}
_IMAGE = r"(?:the\s+)?(?:image|picture|scene|photo)\b"

_SPAN = r"(?:distance|radius|range)\s+of"
_NEAR = (
    rf"(?:at|within|in)\s+a\s+{_SPAN}(?:\s+(?:at\s+most|less\s+than|up\s+to|no\s+more\s+than))?|at\s+a\s+distance\s+(?:below|under)|within|less\s+than|at\s+most|"
    r"(?:no|not)\s+(?:more|farther|further)(?:\s+away)?\s+than|closer\s+than|nearer\s+than|up\s+to"
)
_FAR = (
    rf"at\s+a\s+{_SPAN}\s+(?:at\s+least|more\s+than|over)|more\s+than|over|farther(?:\s+away)?\s+than|further(?:\s+away)?\s+than|at\s+least|beyond|"
    rf"(?:no|not)\s+(?:closer|nearer|less)\s+than|not\s+within(?:\s+a\s+{_SPAN})?|outside(?:\s+of)?\s+a\s+{_SPAN}"
)

_OF = r"(?:\s+away)?\s+(?:of|from|to|than|around)"
_LENGTHS = [_LENGTH.replace("number", f"number{turn}").replace("unit", f"unit{turn}") for turn in ("", "2", "3", "4")]
"""The pattern of a length four times, each with groups of its own."""

_RELATIONS: tuple[tuple[str, str], ...] = (
    ("part", rf"(?:in|on|at)\s+the\s+(?P<part>{_SIDE_WORDS}|centre|center|middle)(?:ern)?(?:(?:\s+(?:hand\s+)?(?:side|half|part|edge))?\s+of\s+{_IMAGE}|\s+half(?!\s+of\b))"),
    ("bank", rf"(?:on|along|at)\s+the\s+(?P<bank>{_SIDE_WORDS})(?:ern)?(?:[- ]hand)?\s+(?:bank|side|shore|edge|half)\s+of"),
    ("side", r"(?:to\s+the\s+|just\s+|due\s+)?(?P<side>left|right|north|south|east|west)(?:ern|wards?)?\s+of"),
    ("within", rf"(?:{_NEAR})\s+{_LENGTHS[0]}{_OF}|{_LENGTHS[2]}\s+or\s+(?:less|closer|nearer){_OF}"),
    ("beyond", rf"(?:{_FAR})\s+{_LENGTHS[1]}{_OF}|{_LENGTHS[3]}\s+or\s+(?:more|farther|further){_OF}"),
    ("above", r"above|over|higher\s+(?:up\s+)?than"),
    ("below", r"below|beneath|under(?:neath)?|lower\s+(?:down\s+)?than"),
    ("nearest", r"(?:(?:that|which)\s+(?:is|are)\s+)?(?:nearest|closest)(?:\s+(?:to|from))?|with\s+the\s+(?:least|smallest|shortest)\s+distance\s+(?:to|from)"),
    ("farthest", r"(?:farthest|furthest)(?!\s+(?:to\s+the\s+)?(?:left|right|north|south|east|west)\b)(?:\s+(?:away\s+)?from)?|most\s+distant\s+from|with\s+the\s+(?:largest|greatest)\s+distance\s+(?:to|from)"),
    ("between", r"(?:in\s+(?:the\s+(?:gap|space)\s+)?)?between"),
    ("along", r"along(?:side)?"),
    ("near", r"near(?:\s+to|by)?|close\s+to|next\s+to|beside|adjacent\s+to"),
    ("outside", r"outside(?:\s+of)?|excluded\s+from|(?:that\s+do(?:es)?\s+)?not(?:\s+lie)?\s+(?:in|inside|within)"),
    ("inside", r"inside(?:\s+of)?|within|enclosed\s+by|in(?=\s+the\b)|on(?=\s+the\b)"),
)  # fmt: skip
_RELATION = re.compile(
    rf"(?:,\s*|\band\s+|\bbut\s+)*{_THAT}(?:{'|'.join(f'(?P<r_{name}>{words})' for name, words in _RELATIONS)})(?=\s|$|[,.])",
    re.IGNORECASE,
)
_FILLERS = re.compile(
    r"\b(?:are there|there are|is there|can (?:you|be) see[n]?|do you see|please|only(?=[?!.\s]*$)|in this image|in the image)\b|[?!.]+\s*$",
    re.IGNORECASE,
)

_STRAY = re.compile(
    rf"\b(?:than|from|away|around|under|over|up|upon|that|which|who|whose|not|no|do|does|you|i|me|my|we|one|less|more|least|most|only|"
    rf"radius|distance|count|location|(?:all|every|each|any|both|the|this|these|those|an?)(?=\s)|{_NUMBER}(?=\s)|{_LENGTH})\b|"
    rf"^(?:the|an?|all|{_NUMBER})$",
    re.IGNORECASE,
)
"""Words that no name of a thing holds: what stands there is a condition that rules do not know, and a guess would be a wrong answer."""
_AFTER_PLURAL = re.compile(
    r"(?<=[^isu ]s )(?:\w+ed|standing|running|moving|sailing|flying|found|seen|in|on|at|by|to)\b.*$", re.IGNORECASE
)
"""What follows on a plural, as in "ships lined along", is no part of the name."""


@dataclass
class _StepsDraft:
    """Steps as they are written.

    Attributes:
        steps: So far.
        notes: What had to be settled.
        areas: Names that the caller gave.
    """

    areas: tuple[str, ...]
    steps: list[SubInstruction] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, base: str, step: SubInstruction) -> str:
        """Add a step under a name of its own and return the name."""
        taken = {one.name for one in self.steps} | set(self.areas)
        name, number = base, 2
        while name in taken:
            name, number = f"{base} ({number})", number + 1
        self.steps.append(replace(step, name=name))
        return name

    def chain(self, name: str, step: SubInstruction) -> str:
        """Add a step that chooses from the result of a step, called by what it says, and return its name."""
        chosen = replace(step, of=name)
        return self.add(chosen.words(), chosen)


def parse_by_rules(instruction: str, *, areas: tuple[str, ...] = ()) -> ConditionPlan:
    """Return the plan of an instruction in English.

    Every condition speaks of the objects that are asked for; "largest" and the like choose among those that meet all others.
    Understood are sides ("north of", "on the east bank of"), distances ("within 200 m of", "nearest to", "along"), "inside", "outside",
    "between", parts of the image, sizes and places ("the three largest"), and "how many".

    Args:
        instruction: What is asked for.
        areas: Names of areas that the caller knows, such as ``("zone",)`` for "inside the zone".

    Raises:
        ValueError: It is empty, too long, or no object can be told from its conditions; ask a model to parse it.

    >>> plan = parse_by_rules("all planes on the east bank of the river")
    >>> [step.words() for step in plan.steps]
    ['find planes', 'find river', 'planes east of river']
    """
    text = " ".join(instruction.split())
    if not text or len(text) > LONGEST:
        raise ValueError(f"the instruction has {len(text)} characters; give 1 to {LONGEST}, or ask a model to parse it")
    counts = bool(_COUNT.match(text))
    text = _FILLERS.sub("", _COUNT.sub("", _ASK.sub("", text))).strip(" ,.?!")
    draft = _StepsDraft(areas)
    found = list(_RELATION.finditer(text))
    head = text[: found[0].start()] if found else text
    ends = [one.start() for one in found[1:]] + [len(text)] * bool(found)
    if found and not head.strip(" ,"):
        raise ValueError(
            f"{instruction[:80]!r} names no object before its conditions; put it first, or ask a model to parse it"
        )
    subject, leads = _thing(head, draft)
    if subject in areas:
        raise ValueError(f"{instruction[:80]!r} asks for the area {subject!r} itself; ask for what lies in it")
    if found:  # conditions choose one among several
        draft.steps = [replace(step, many=True) for step in draft.steps]
    current = subject
    late = list(leads)
    for one, end in zip(found, ends, strict=True):
        name = next(
            name.removeprefix("r_") for name, value in one.groupdict().items() if name.startswith("r_") and value
        )
        other = text[one.end() : end].strip(" ,.")
        step = _relation(name, one, other, draft, instruction)
        if step.do in ("nearest", "farthest"):
            late.append(step)
            continue
        current = draft.chain(current, step)
    for step in late:
        current = draft.chain(current, step)
    if counts:
        draft.add("count", SubInstruction("x", "count", of=current))
    if len(found) > 1:
        draft.notes.append(f"every condition is taken to speak of the {subject}")
    return ConditionPlan(draft.steps, tuple(draft.notes), areas)


def _thing(words: str, draft: _StepsDraft) -> tuple[str, list[SubInstruction]]:
    """Add the step that finds a thing and return its name, with the superlatives that choose among it."""
    leads = []
    for one in _LEAD.finditer(words):
        do = next(name for name in _LEADS if one[name])
        many = int(number_in(one["count"]) or 1) if one["count"] else 1
        leads.append(SubInstruction("x", do, of="x", count=many))
    noun = _LEAD.sub(" ", words)
    noun = re.sub(r"^\s*(?:all|every|each|any|both|of)\b(?:\s+of)?", " ", noun, flags=re.IGNORECASE).strip(" ,")
    noun = re.sub(rf"^(?:the\s+)?(?:{_NUMBER}\s+)?(?:most\s+)?", "", noun, flags=re.IGNORECASE) if leads else noun
    definite = bool(re.match(r"(?:the|this|that)\s", f"{noun} ", re.IGNORECASE)) and not leads
    noun = re.sub(r"^(?:the|this|that|a|an|some)\s+", "", noun, flags=re.IGNORECASE).strip(" ,")
    if not noun:
        raise ValueError(f"{words.strip()[:80]!r} names no object; give one, or ask a model to parse the instruction")
    for area in draft.areas:
        if noun.casefold() == area.casefold():
            return area, leads
    stray = _STRAY.search(noun) or _AFTER_PLURAL.search(noun)
    if stray:
        raise ValueError(
            f"{noun[:80]!r} is no name: rules cannot read {stray[0]!r} in it; put it in other words, or ask a model to parse the instruction"
        )
    name = draft.add(noun, SubInstruction("x", "find", referent(noun), many=_plural(noun) or not definite))
    return name, leads


def _plural(noun: str) -> bool:
    last = noun.split()[-1].casefold()
    return (last.endswith("s") and not last.endswith(("ss", "us", "is"))) or last in ("people", "aircraft")


def _reference(words: str, draft: _StepsDraft) -> str:
    """Add the steps of a thing that is compared with and return the name of its result."""
    name, leads = _thing(words, draft)
    for lead in leads:
        name = draft.chain(name, lead)
    return name


def _relation(name: str, found: re.Match[str], other: str, draft: _StepsDraft, instruction: str) -> SubInstruction:
    """Return the step of a relation, its subject left open."""
    if name == "part":
        part = _PART_NAMES.get(found["part"].lower(), found["part"].lower())
        return SubInstruction("x", "part", part if part in PARTS else "centre", of="x")
    if not other:
        raise ValueError(f"{instruction[:80]!r} does not say what {found[0].strip()!r} compares with; name it")
    if name == "between":
        names = [_reference(part, draft) for part in re.split(r"\s+and\s+", other, maxsplit=1)]
        return SubInstruction("x", "between", of="x", to=tuple(names))
    to = (_reference(other, draft),)
    if name in ("bank", "side"):
        return SubInstruction("x", _SIDE[found[name].lower()], of="x", to=to)
    if name in ("within", "beyond"):
        number, unit = next(
            (found[f"number{turn}"], found[f"unit{turn}"]) for turn in ("", "2", "3", "4") if found[f"number{turn}"]
        )
        factor = _UNITS.get(unit.lower()) or _UNITS[unit.lower().rstrip("s")]
        kind = "px" if unit.lower().startswith("p") else "m"
        return SubInstruction("x", name, of="x", to=to, distance=float(number.replace(",", ".")) * factor, unit=kind)
    if name == "near":
        draft.notes.append("near is taken to mean: no farther away than each object is long")
    return SubInstruction("x", "along" if name == "near" else name, of="x", to=to)
