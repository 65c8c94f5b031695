"""The letters that a written answer to a multiple-choice question chooses.

A text becomes one sign a word, so that rules about sentences are short expressions over these signs: "The answer is A or C."
reads ``kiL|L.``.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from rscovlm.metrics.final_answers import final_answer

_LATIN = r"[A-Za-z0-9\u00c0-\u024f]"
_WORDS = {
    "n": "not|neither|nor|cannot|isn't|aren't|doesn't|don't|can't|wasn't|rather than|instead of|unlike|excluding|excludes?|rules? out",
    "x": "wrong|incorrect|false|excluded|ruled out",
    "r": "correct|right|true|best|most likely",
    "k": "answers?|ans",
    "o": "options?|choices?",
    "c": "both|choose|chose|chosen|picks?|picked|selects?|selected|go with|going with|say|guess|think|believe",
    "i": "is|was|be|it's",
    "a": "are|were",
    "s": "so|thus|hence|therefore|then",
    "b": "because|since|as|which|while|given|due|but|seems?|looks?",
    "|": "or|maybe|perhaps|possibly",
    "&": "and",
    "": "the|it|that|this|all|just|only|also|clearly|likely|probably|definitely|would|should|must|will|letters?",
}
_SIGNS = {
    "n": "不是|并非|不选|而非|排除|除了",
    "x": "不对|不正确|不符|错误|错",
    "k": "答案|正确的有|正确的是|正解|解答|正答|答え|정답|답|答",
    "r": "正确|正確|对的",
    "O": "选项|選択肢|项|項",
    "c": "选择|应选|應選|故选|选|選|认为|觉得",
    "i": "是|为|為|は|が|은|는",
    "|": "或者|或|还是|または|또는",
    "": "です|입니다|应该|都|均|的|比较|比較|最|更|[*_`#~$\"'“”‘’•]",
    "&": r"[/&+、和与及と]",
    ",": "[,;]",
    "B": r"[(\[{<]\s*[A-Za-z]\s*[)\]}>]",
    "(": r"[(\[{<]",
    ")": r"[)\]}>]",
    "N": r"\n",
    ":": r"[:=]|(?<=\s)[-–—]",
    ".": "[.!?。]",
    "w": r"[^\W_]",
}
"""The sign of each kind of word and of each other sign; what has none is left out. ``w`` is any other word."""

_END = rf"(?!{_LATIN}|['’]{_LATIN})"
_TABLE = [(sign, f"(?:{words})".replace("'", "['’]") + _END + r"(?:\(s\))?") for sign, words in _WORDS.items()]
_TABLE += [("L", rf"[A-Za-z]{_END}(?![-‐]{_LATIN})"), ("w", rf"{_LATIN}+(?:['’\-‐]{_LATIN}+)*")]
_TABLE += list(_SIGNS.items())
_TOKEN = re.compile("|".join(f"({pattern})" for _, pattern in _TABLE), re.IGNORECASE)

_ONE = "[oO]?[LB]O?"
_LIST = f"{_ONE}(?:[)]*[&,]+[(]*{_ONE}|B|N+:?{_ONE}(?=[.]?(?:N|$))){{0,25}}"
_SAID = _LIST.replace("[LB]", "[LBl]")  # where a small letter can be nothing else
_ROW = re.compile("[&,.:()No]*[LBl](?:[&,.:()No]*[LBl])*[&,.:()NO]*")
_MORE = f"(?:[).:(]{{0,2}}w{{1,12}}[)]?[,&N]+{_ONE}(?=[).:(w]))*"  # "A. pier, C. crane"
_REJECTED = re.compile(f"nc?{_SAID}|{_LIST}ac?[nx]|{_ONE}(?:&+{_ONE})*(?:in|i?x|nr)")  # "A, B is wrong" rejects B alone
_ANSWER = re.compile(f"(?:k|[ro](?=[wriakoc]{{0,12}}?[iaN:]))(?:[wriakoc]{{0,12}}?[iacN:()])?[iaN:()]*({_SAID}{_MORE})")
_MARK = re.compile("(?:^|[.,&N])[:(]*(?:(L)[).:]|(B))(?=[wLlck(])|^(L)(?=&w)")
_RIGHT = re.compile(f"({_LIST})[ia]?c?[rk]")
_CHOSEN = re.compile(f"c[ci]*:?({_LIST})|[ia]({_LIST})(?!w)|:({_LIST})[.)]*$")
_OR = re.compile("[&,.]*[|][&,|wi(]{0,6}[LBl]")
_OFFERED = re.compile(f"{_SAID}[&,]*[|][&,(]*{_LIST}")
_OPTION = re.compile(f"([oO][LBl]O?(?:[&,]+{_ONE})*|[LB]O(?:[&,]+{_ONE})*)")
_BRACKETED = re.compile("B")
_LEADING = re.compile(f"^({_LIST})(?:[.N&,b:ia(]|$)|^(L)")
_LONE = re.compile("(?:^|[.,&:N()siab|])(L)")

_BRACKETS = str.maketrans("【】「」『』〔〕《》〈〉", "()()()()()()")
_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]{0,200}\}){0,200})\}")
_LATEX = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]{0,200})\}")
_RUN = re.compile(r"(?<![A-Za-z0-9])([A-H]{2,8})(?![A-Za-z0-9'’])")


class _ReadAnswer(NamedTuple):
    """A text as signs, and the letter at the place of each ``L``, ``l`` and ``B``."""

    signs: str
    letters: list[str]

    def at(self, match: re.Match[str]) -> frozenset[str]:
        """Return the letters of what a match found: its first group that took part, or all of it."""
        begin, end = match.span(match.lastindex or 0)
        return frozenset(letter for letter in self.letters[begin:end] if letter)


def chosen_letters(text: str) -> frozenset[str]:
    """Return the letters a text chooses, upper case; none where it chooses none, or offers several with "or".

    Thoughts before the answer are left out, letters and brackets of Chinese and Japanese fonts are read as ours, and what a
    text rejects ("not A", "B is wrong") does not count. In this order: the text is a letter, or a row of letters; the last
    that follows "answer", "correct option" or their Chinese, Japanese or Korean words; those called correct; the last that
    is chosen ("I pick"); one that follows "option"; those in brackets; those that stand as marks ("A. a pier; C. a crane");
    those that begin the text; one capital alone after a sign or a small word. A letter that is a word is none: "A building",
    "I see", "B-52".

    >>> sorted(chosen_letters("The answer is A or B.")), sorted(chosen_letters("A、C")), sorted(chosen_letters("A building"))
    ([], ['A', 'C'], [])
    """
    said = unicodedata.normalize("NFKC", final_answer(text)).translate(_BRACKETS)
    boxed = _BOXED.findall(said)
    said = _LATEX.sub(r"\1", boxed[-1] if boxed else said)
    said = _RUN.sub(lambda run: _parted(run[1]), said)
    read = _read(said.strip())
    if _ROW.fullmatch(read.signs):
        return frozenset(filter(None, read.letters))
    read = _ReadAnswer(_REJECTED.sub(lambda found: "w" * len(found[0]), read.signs), read.letters)
    if answers := list(_ANSWER.finditer(read.signs)):
        return frozenset() if _OR.match(read.signs, answers[-1].end()) else read.at(answers[-1])
    marks = list(_MARK.finditer(read.signs))
    if marks and marks[0].start() == 0:
        return frozenset().union(*map(read.at, marks))
    for pattern in (_RIGHT, _CHOSEN):
        if found := list(pattern.finditer(read.signs)):
            offered = any(_OR.match(read.signs, one.end()) or read.signs[: one.start()].endswith("|") for one in found)
            last = found if pattern is _RIGHT else found[-1:]
            return frozenset() if offered else frozenset().union(*map(read.at, last))
    if _OFFERED.search(read.signs):
        return frozenset()
    if options := {read.at(match) for match in _OPTION.finditer(read.signs)}:
        return options.pop() if len(options) == 1 else frozenset()
    for pattern in (_BRACKETED, _LEADING):
        if found := list(pattern.finditer(read.signs)):
            return frozenset().union(*map(read.at, found))
    alone = {read.at(match) for match in _LONE.finditer(read.signs)}
    return alone.pop() if len(alone) == 1 and read.signs.count("L") == 1 else frozenset()


def true_letters(text: str) -> frozenset[str]:
    """Return the letters of a true answer, which may be written together in any order.

    >>> sorted(true_letters("CA")), sorted(true_letters("A, C")), sorted(true_letters("a pier"))
    (['A', 'C'], ['A', 'C'], [])
    """
    run = re.fullmatch(r"\s*([A-Z]{2,26})\s*", text)
    return frozenset(run[1]) if run and len(set(run[1])) == len(run[1]) else chosen_letters(text)


def chosen_letter(text: str) -> str | None:
    """Return the one letter a text chooses, upper case, or None; see `chosen_letters`.

    >>> chosen_letter("(b)"), chosen_letter("A, B")
    ('B', None)
    """
    letters = chosen_letters(text)
    return next(iter(letters)) if len(letters) == 1 else None


def _parted(run: str) -> str:
    """Return capitals in order as a list, "AC" as "A&C"; others are a word, such as "BAD"."""
    return "&".join(run) if sorted(set(run)) == list(run) else run


def _read(text: str) -> _ReadAnswer:
    """Return the text in signs. ``A``, ``I`` and small letters are letters only where no word follows."""
    found = list(_TOKEN.finditer(text))
    kinds = [_TABLE[(match.lastindex or 1) - 1][0] for match in found]
    kept = [k for k, kind in enumerate(kinds) if kind]
    signs: list[str] = []
    letters: list[str] = []
    for place, k in enumerate(kept):
        sign, letter = kinds[k], ""
        if sign in "LB":
            letter = found[k][0].strip("()[]{}<> \t\n")
        if sign == "L":
            following = kept[place + 1] if place + 1 < len(kept) else None
            after = "" if following is None else kinds[following]
            glued = following is not None and found[following].start() == found[k].end()
            after = "" if signs[-1:] == ["o"] else after
            sign = _letter_sign(letter, after, glued, following is not None and found[following][0] > "\u2e80")
        signs.append(sign)
        letters.append(letter.upper() if sign in "LlB" else "")
    return _ReadAnswer("".join(signs), letters)


def _letter_sign(letter: str, after: str, glued: bool, cjk: bool) -> str:
    if after == "w" and cjk:  # "A 码头" is a mark, "T字形" a word
        return "w" if glued else "L"
    if letter in "AI" or letter.islower():
        before_words = "wckros" if letter != "I" else "wckrosnbia"
        if after and after in before_words:
            return "w"
    return "l" if letter.islower() else "L"
