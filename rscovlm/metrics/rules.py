"""Rules that say whether a written answer is right: sane ones, and the peers' own under the peers' names."""

from __future__ import annotations

import string
from collections.abc import Callable

from rscovlm.metrics.final_answers import final_answer
from rscovlm.metrics.letters import chosen_letters, true_letters
from rscovlm.metrics.texts import holds, normalised, number_in, words

Rule = Callable[[str, str], float | None]
"""Takes an answer and the true one; returns the credit (0 to 1), or None where the rule cannot decide."""

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
    mine, true = chosen_letters(prediction), true_letters(reference)
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
