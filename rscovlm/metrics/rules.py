"""Rules that say whether a written answer is right: sane ones, and the peers' own under the peers' names."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable

from rscovlm.metrics.final_answers import final_answer
from rscovlm.metrics.texts import holds, normalised, number_in, words

Rule = Callable[[str, str], float | None]
"""Takes an answer and the true one; returns the credit (0 to 1), or None where the rule cannot decide."""

_LETTER_ALONE = re.compile(r"\W*([A-Za-z])\W*")
_LETTER_RUN = re.compile(r"\W*([A-Z]{2,10})\W*")
_LETTER_ROW = re.compile(r"\W*[A-Za-z](?:(?:\W|\band\b|[和与及])+[A-Za-z])+\W*")
_LETTER_FIRST = re.compile(r"\A\s*([A-Za-z])[).:,、]")
_LETTER_NAMED = re.compile(
    r"\b(?:answer|option|choice)s?\b(?:\s+(?:is|are|would\s+be))?\s*:?\s*\W?\(?([A-Za-z])\b(?!['’])", re.IGNORECASE
)
_ALTERNATIVES = re.compile(r"(?<![\w'’])[A-Z]\)?\W*\s(?:or|或|还是)\s+(?:[Oo]ption\s+)?\(?[A-Z](?![\w'’])")
_MORE_LETTERS = re.compile(r"\W*(?:,|&|/|\+|、|\band\b|[和与及])\W*(?:[Oo]ption\s+)?([A-Za-z])(?![\w'’])")
_LETTER_NAMED_IN_CHINESE = re.compile(
    r"(?:答案|选项|选择|选|選択肢|正解|解答)[是为為はが：:\s]*\W?([A-Za-z])(?![A-Za-z])"
)
_LETTER_BRACKETED = re.compile(r"\(([A-Za-z])\)")
_LETTER_CAPITAL = re.compile(r"(?<![\w'’])([B-HJ-Z])(?![\w'’])")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)

_TEOCHAT_KEYWORDS = (
    *("yes", "no", "top left", "top center", "top right", "center left", "center", "center right"),
    *("bottom left", "bottom center", "bottom right"),
)


def exact(prediction: str, reference: str) -> float:
    """Right if both have the same words: case, punctuation and hyphens aside.

    Example:
        >>> exact("Dense-residential.", "dense residential"), exact("", "no")
        (1.0, 0.0)
    """
    return float(words(final_answer(prediction)) == words(reference) != [])


def contains(prediction: str, reference: str) -> float:
    """Right if the true answer's words stand in the prediction, whole and in one piece.

    Example:
        >>> contains("It is a park.", "park"), contains("a parking lot", "park"), contains("I do not know", "no")
        (1.0, 0.0, 0.0)
    """
    return float(holds(words(final_answer(prediction)), words(reference)))


def contained(prediction: str, reference: str) -> float:
    """Right if either's words stand in the other, whole and in one piece; an empty answer is wrong.

    Example:
        >>> contained("residential", "dense residential"), contained("", "dense residential")
        (1.0, 0.0)
    """
    mine, true = words(final_answer(prediction)), words(reference)
    return float(holds(mine, true) or holds(true, mine))


def choice(prediction: str, reference: str) -> float | None:
    """Right if the letters the answer chooses are the true ones, all of them; undecided where it names none, or offers several.

    Raises:
        ValueError: If the true answer is no letter.

    Example:
        >>> choice("The answer is (B).", "B"), choice("Answer: b", "B"), choice("A large ship", "A")
        (1.0, 1.0, None)
        >>> choice("A and C", "AC"), choice("A", "AC"), choice("<think>C?</think><answer>（Ａ）</answer>", "A")
        (1.0, 0.0, 1.0)
    """
    mine, true = chosen_letters(prediction), chosen_letters(reference)
    if not true:
        raise ValueError(
            f"the true answer {reference!r} is no choice; give a letter such as 'B' or '(B)', or several: 'AC'"
        )
    return float(mine == true) if mine else None


def number(prediction: str, reference: str) -> float | None:
    """Right if the first number named equals the true one; undecided where none is named.

    Raises:
        ValueError: If the true answer names no number.

    Example:
        >>> number("There are seven.", "7"), number("13 ships", "3"), number("many", "3")
        (1.0, 0.0, None)
    """
    mine, true = number_in(final_answer(prediction)), number_in(reference)
    if true is None:
        raise ValueError(f"the true answer {reference!r} names no number; give one such as '3' or 'three'")
    return None if mine is None else float(mine == true)


def yes_no(prediction: str, reference: str) -> float | None:
    """Right if the answer says yes or no as it should; undecided where it says neither or both.

    Raises:
        ValueError: If the true answer is neither yes nor no.

    Example:
        >>> yes_no("Yes, there is.", "yes"), yes_no("I do not know", "no"), yes_no("yes or no", "no")
        (1.0, None, None)
    """
    mine, true = _yes_or_no(final_answer(prediction)), _yes_or_no(reference)
    if true is None:
        raise ValueError(f"the true answer {reference!r} is neither yes nor no")
    return None if mine is None else float(mine == true)


def chosen_letters(text: str) -> frozenset[str]:
    """Return the letters a text chooses, upper case; none where it chooses none, or offers several with "or".

    Thoughts before the answer are left out, and letters and brackets of Chinese and Japanese fonts are read as ours. In
    this order: the text is a letter, or a row of letters; one follows "answer", "option" or "choice", or their Chinese words,
    with those listed after it; some stand in brackets; one starts the text before a bracket, period, colon or comma; one
    capital stands alone (A and I do not count here, being words).
    """
    said = unicodedata.normalize("NFKC", final_answer(text)).translate(_BRACKETS)
    row = _LETTER_ALONE.fullmatch(said) or _LETTER_RUN.fullmatch(said) or _LETTER_ROW.fullmatch(said)
    if row is not None:
        letters = re.findall(r"(?<![a-z])[A-Za-z](?![a-z])", said)
        # A run of capitals is a choice where it is in order: "AC", but not "BAD".
        if _LETTER_RUN.fullmatch(said) is None or sorted(set(letters)) == letters:
            return frozenset(map(str.upper, letters))
    for pattern in (_LETTER_NAMED, _LETTER_NAMED_IN_CHINESE):
        named = {letter for match in pattern.finditer(said) for letter in _listed(said, match)}
        if named:
            return frozenset() if _offers(said, named) else frozenset(named)
    if _ALTERNATIVES.search(said):
        return frozenset()
    for pattern in (_LETTER_BRACKETED, _LETTER_FIRST, _LETTER_CAPITAL):
        found = {letter.upper() for letter in pattern.findall(said)}
        if found:
            sure = pattern is _LETTER_BRACKETED or len(found) == 1
            return frozenset(found) if sure and not _offers(said, found) else frozenset()
    return frozenset()


def chosen_letter(text: str) -> str | None:
    """Return the one letter a text chooses, upper case, or None; see `chosen_letters`."""
    letters = chosen_letters(text)
    return next(iter(letters)) if len(letters) == 1 else None


def _listed(text: str, match: re.Match[str]) -> list[str]:
    """Return the letter of a match and those listed right after it."""
    letters, place = [match[1].upper()], match.end()
    while (more := _MORE_LETTERS.match(text, place)) is not None:
        letters.append(more[1].upper())
        place = more.end()
    return letters


def _offers(text: str, letters: set[str]) -> bool:
    """Whether a text names several letters as alternatives."""
    return len(letters) > 1 and re.search(r"\bor\b|或", text) is not None


_BRACKETS = str.maketrans("【】「」『』〔〕《》", "()()()()()")


def _yes_or_no(text: str) -> bool | None:
    said = set(words(text))
    yes, no = bool(said & {"yes", "true"}), bool(said & {"no", "false"})
    return None if yes == no else yes


def geochat(prediction: str, reference: str) -> float:
    """GeoChat's and RSCoVLM's rule for scenes and VQA: the true answer is a substring. "No" is found in "unknown".

    Example:
        >>> geochat("unknown", "no")
        1.0
    """
    return float(normalised(reference) in normalised(prediction))


def identical(prediction: str, reference: str) -> float:
    """RSCoVLM's strictest rule: equal in lower case, without blanks and then periods around."""
    return float(normalised(prediction) == normalised(reference))


def vhm(prediction: str, reference: str) -> float:
    """VHM's own program for scenes and RSVQA: without blanks, the answer is a substring of the true one.

    An empty answer is always right, and an answer in a sentence never is.

    Example:
        >>> vhm("", "rural"), vhm("residential", "dense residential"), vhm("It is rural", "rural")
        (1.0, 1.0, 0.0)
    """
    mine, true = (text.replace(" ", "").lower() for text in (prediction, reference))
    return float(mine in true)


def rscovlm_vhm(prediction: str, reference: str) -> float:
    """RSCoVLM's variant of VHM's rule: either is a substring of the other, so an empty answer is always right.

    Example:
        >>> rscovlm_vhm("", "rural"), rscovlm_vhm("It is rural", "rural")
        (1.0, 1.0)
    """
    mine, true = normalised(prediction), normalised(reference)
    return float(mine in true or true in mine)


def vhm_presence(prediction: str, reference: str) -> float:
    """VHM's own program for presence: "yes" in any case against "no" or "false" in lower case, anywhere.

    A capital "No" is not seen, so that "No, there is none" is right by its "none", and "No" alone is wrong.

    Example:
        >>> vhm_presence("No", "no"), vhm_presence("no", "no"), vhm_presence("True", "yes")
        (0.0, 1.0, 0.0)
    """
    yes, no = "yes" in prediction.lower(), any(word in prediction for word in ("no", "false"))
    said = "unknown" if yes == no else "yes" if yes else "no"
    return float(said == reference.lower())


def rscovlm_vhm_presence(prediction: str, reference: str) -> float:
    """RSCoVLM's variant of VHM's rule for presence: "yes" or "true" against "no" or "false" anywhere, in any case."""
    mine = normalised(prediction)
    yes, no = "yes" in mine or "true" in mine, "no" in mine or "false" in mine
    said = "unknown" if yes == no else "yes" if yes else "no"
    return float(said == normalised(reference))


def vhm_colour(prediction: str, reference: str) -> float:
    """VHM's rule for colours: the share of the true colours, parted by commas, that occur as substrings."""
    mine = normalised(prediction).replace(" ", "")
    true = normalised(reference).replace(" ", "").split(",")
    return sum(colour in mine for colour in true) / len(true)


def vhm_choice(prediction: str, reference: str) -> float:
    """VHM's rule for choices: the first capital A to E anywhere, so that "Answer: B" is read as A.

    Example:
        >>> vhm_choice("Answer: B", "A"), choice("Answer: B", "A")
        (1.0, 0.0)
    """
    letter = next((sign.lower() for sign in prediction.strip().strip(".") if sign in "ABCDE"), None)
    return float(letter is not None and letter in normalised(reference))


def vrsbench(prediction: str, reference: str) -> float | None:
    """VRSBench's rule before its GPT step: substring; "yes", "no" and 0 to 99 are then wrong; the rest is undecided."""
    mine, true = prediction.lower(), reference.lower()
    if true in mine:
        return 1.0
    return 0.0 if true in ("yes", "no", *map(str, range(100))) else None


def teochat(prediction: str, reference: str) -> float:
    """TEOChat's rule: equal in lower case without any ASCII punctuation. Blanks around count."""
    mine, true = (text.lower().translate(_NO_PUNCTUATION) for text in (prediction, reference))
    return float(mine == true)


def teochat_keywords(prediction: str, reference: str) -> float:
    """TEOChat's rule for questions on xBD, as RSCoVLM runs it: right as above, or if both hold one and the same keyword.

    Keywords are "yes", "no" and nine places, sought as substrings: "no" is found in "unknown", and "center" makes
    "top center" of "bottom center".

    Example:
        >>> teochat_keywords("bottom center", "top center"), teochat_keywords("Yes, it was.", "yes")
        (1.0, 1.0)
    """
    mine, true = (text.lower().translate(_NO_PUNCTUATION) for text in (prediction, reference))
    return float(mine == true or any(word in mine and word in true for word in _TEOCHAT_KEYWORDS))


RULES: dict[str, Rule] = {
    "exact": exact,
    "contains": contains,
    "contained": contained,
    "choice": choice,
    "number": number,
    "yes_no": yes_no,
    "geochat": geochat,
    "identical": identical,
    "vhm": vhm,
    "vhm_presence": vhm_presence,
    "rscovlm_vhm": rscovlm_vhm,
    "rscovlm_vhm_presence": rscovlm_vhm_presence,
    "vhm_colour": vhm_colour,
    "vhm_choice": vhm_choice,
    "vrsbench": vrsbench,
    "teochat": teochat,
    "teochat_keywords": teochat_keywords,
}
