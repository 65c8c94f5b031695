"""Rules for choices that know the options' own text: a sane one, and MME-RealWorld's under its name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

from rscovlm.metrics.final_answers import final_answer
from rscovlm.metrics.letters import chosen_letters, true_letters
from rscovlm.metrics.texts import holds, words

OptionRule = Callable[[str, str, Sequence[str]], float | None]
"""Takes an answer, the true letter and the options, such as "(A) a ship"; returns the credit, None if undecided."""

_LETTERED = re.compile(r"\s*[(（【]?([A-Za-zＡ-Ｚａ-ｚ])[).:）】．、：]\s*(.*)", re.DOTALL)
_LETTER = re.compile("[ABCDE]")

# As MME-RealWorld's script has them: a comma is missing twice, which glues two phrases together.
MME_PREFIXES = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option is" + "The correct option is",
    "Best answer:" + "Best option:",
)

MME_LETTERS = ("(A)", "(B)", "(C)", "(D)", "(E)")
"""What MME-RealWorld's rule takes for the options where none are given."""


def lettered(options: Sequence[str]) -> dict[str, str]:
    """Return letter -> text of options that carry their letters, or of plain ones, lettered as they come.

    Raises:
        ValueError: If there are none, or two have the same letter.

    Example:
        >>> lettered(["(A) red", "(B) blue"]), lettered(["red", "blue"])
        ({'A': 'red', 'B': 'blue'}, {'A': 'red', 'B': 'blue'})
    """
    found = [_LETTERED.fullmatch(option) for option in options]
    if all(found):
        pairs = [
            (unicodedata.normalize("NFKC", match.group(1)).upper(), match.group(2).strip()) for match in found if match
        ]
    else:
        pairs = [(chr(ord("A") + k), option.strip()) for k, option in enumerate(options)]
    if not pairs or len(dict(pairs)) < len(pairs):
        raise ValueError(f"the options {list(options)} are none, or two have the same letter; give one of each")
    return dict(pairs)


def choice(prediction: str, reference: str, options: Sequence[str]) -> float | None:
    """Right if the options the answer means are the true ones, all of them; undecided where it means none.

    An answer means the option whose words it has exactly; else those whose letters it chooses, or those whose words stand in
    it whole (of options within options the longest counts). Where letters and words disagree, none; and where several
    words but no letters stand in an answer to a question with one right option, none.

    Raises:
        ValueError: If the true answer is none of the options.

    Example:
        >>> options = ["(A) Blue", "(B) Red"]
        >>> choice("Blue", "A", options), choice("(B) red", "A", options), choice("It is blue.", "A", options)
        (1.0, 0.0, 1.0)
        >>> choice("", "A", options) is None, choice("B, which is blue", "A", options) is None
        (True, True)
        >>> choice("A, B", "AB", options), choice("A", "AB", options), choice("blue and red", "AB", options)
        (1.0, 0.0, 1.0)
    """
    texts = {letter: words(text) for letter, text in lettered(options).items()}
    true = true_letters(reference)
    if not true or not true <= set(texts):
        raise ValueError(
            f"the true answer {reference!r} is none of the options {list(options)}; give its letter or letters"
        )
    said = words(final_answer(prediction))
    same = [letter for letter, text in texts.items() if text and said in (text, [letter.lower(), *text])]
    if same:
        return float(true == set(same)) if len(same) == 1 else None
    named = chosen_letters(prediction)
    held = [letter for letter, text in texts.items() if holds(said, text)]
    longest = {
        letter
        for letter in held
        if not any(len(texts[other]) > len(texts[letter]) and holds(texts[other], texts[letter]) for other in held)
    }
    named &= set(texts)
    if named and longest and not longest <= named:
        return None
    meant = named or longest
    if not meant or (not named and len(meant) > 1 and len(true) == 1):
        return None
    return float(meant == true)


def mme_realworld(prediction: str, reference: str, options: Sequence[str]) -> float:
    """MME-RealWorld's rule: set phrases go; then the first capital A to E, wherever it stands, is the letter.

    Only without such a capital are the options looked at: the first one in which the answer is a substring is taken,
    so that an empty answer is the first option; "blue" can be understood but "Blue" is read as B.

    Example:
        >>> options = ["(A) Blue", "(B) Red"]
        >>> [mme_realworld(answer, "A", options) for answer in ("blue", "Blue", "", "Answer: B")]
        [1.0, 0.0, 1.0, 1.0]
    """
    text = prediction.strip()
    for prefix in MME_PREFIXES:
        text = text.replace(prefix, "")
    found = _LETTER.search(text)
    if found:
        letter = found.group()
    elif len(text.split()) > 10:
        letter = ""
    else:
        shown = (f"({letter}) {told}".strip() for letter, told in lettered(options).items())
        letter = next((option[1] for option in shown if text.lower() in option.lower()), "")
    return float(letter == reference.strip().strip("()."))


OPTION_RULES: dict[str, OptionRule] = {"choice": choice, "mme_realworld": mme_realworld}
