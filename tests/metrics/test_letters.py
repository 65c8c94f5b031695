"""Letters that answers choose: as a person reads them, and whatever surrounds them."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rscovlm.metrics import answer_accuracy
from rscovlm.metrics.letters import chosen_letter, chosen_letters

# What a person reads in each, one right option and several, and nothing.
# fmt: off
READ = {
    "A": [
        "A", "a", "(A)", "a)", "A.", "A)", "A:", "Ａ", "（A）", "（Ａ）", "【A】", "「A」", "A、", "A。", "Ⓐ", "⒜",
        "[A]", "{A}", "<A>", "选项A", "选项Ａ。", "A选项", "A项", "A选项正确", "A是正确的", "我认为是A", "答：A",
        "选（A）", "A、码头", "A．码头", "Ａ）码头", "A 码头", "**A**", "**A. Pier**", "`A`", "__A__", "\"A\"", "“A”",
        "# A", "- A", "\\boxed{A}", "$\\boxed{\\text{A}}$", "A: pier", "I think A", "I think it is A",
        "I choose A because of the pier", "A is correct", "A is the correct answer.", "A, I think",
        "The answer is **A**.", "The answer is (A) and not (B).", "Answer:\n\n(A)",
        "Answer: A\n\nExplanation: B is wrong because", "A\n\nExplanation: the image shows a bridge.",
        "A because B is wrong", "The answer is A, B is wrong.", "Going with A.", "<answer> A </answer>.",
        "<ANSWER>A</ANSWER>", "<answer>(A) pier</answer>", "<think>B</think>A", "\ufeffA", "A instead of B",
    ],
    "B": [
        "I choose A. No, I choose B.", "I picked A first; finally I pick (B)",
        "It's B.", "so B", "It's a factory, so B.", "B is correct", "The image shows a bridge (B).", "B - bridge",
        "B — bridge", "B (not A)", "答案是（B）码头", "故选：B", "本题选B", "正解はBです", "答えは、Ｂ", "선택: B",
        "정답은 B입니다.", "不是A，是B", "答案：B。A不对，C也不对。",
        "Option A shows a pier, which is not there. Option B shows a barn. Therefore the answer is B.", "Not A, but B",
        "(B) A or C", "A. pier\nB. barn\nThe answer is B.",
        "<think>A or B. A seems right.</think>\n<answer>\nB\n</answer>", "B rather than A", "{\"answer\": \"B\"}",
        "Final Answer: \\(B\\)", "B. Both A and C", "B\n\nThe image shows a barn; A and C are not visible.",
        "A is wrong, B is right", "B pier",
    ],
    "AC": [
        "A, C", "A,C", "C and A", "AC", "AC.", "A、C", "A，C", "A；C", "A/C", "A & C", "A+C", "A C", "A\nC", "(A)(C)",
        "(A), (C)", "(A, C)", "ＡＣ", "【A】【C】", "A和C", "答案：AC", "答案：Ａ、Ｃ", "【答案】AC", "选A和C",
        "选（A）（C）", "两个都对：A和C", "正确的有A、C", "AC都正确", "答えはＡとＣです", "Both A and C",
        "A and C are correct", "A and C are both correct.", "Option A and option C", "The answers are A and C.",
        "I select A and C.", "The correct options are A, C.", "The options that apply are A, C.",
        "Correct answer(s): A; C", "\\boxed{A, C}", "['A', 'C']", "A. C.", "A. Pier; C. Crane", "(A) pier, (C) crane",
        "Answer: A (pier), C (crane)", "Answer: (A) pier and (C) crane", "A: pier\nC: crane", "A,C,A",
        "B is wrong: A and C", "<answer>C, A</answer>", "<think>B?</think>\n\n**Answer:** (A), (C)",
        "The answer is A and C, not B.",
    ],
    "": [
        "", "A building", "A large ship", "An airport", "I see a plane", "I think the building is a factory.",
        "I do not know", "I don't know", "A or B", "(A) or (B)", "I think A or B", "Either A or B", "A, B or C",
        "The answer is A or B.", "Answer: A and/or B", "A或B", "A还是B", "A 或者 B", "It can be A or it can be B.",
        "I cannot tell whether it's A or B.", "Could be A, maybe B", "The answer is A, or possibly B",
        "Between A and B", "Neither A nor B", "Not A", "It is not A.", "The answer is definitely not A",
        "None of the above", "There is no answer", "以上都不对", "不是A", "并非A", "不选A", "排除A", "A不对", "A错误", "The answer is a building.", "Answer: A building",
        "Grade A", "Plan B", "Vitamin C", "Type C airplane", "The plane is in area B", "A's wings",
        "The B-52 is parked.", "T-shaped", "There is a C-shaped building.", "T字形建筑", "A型飞机", "BAD", "CAB",
        "USA", "Yes", "A1", "①", "<answer></answer>", "Option A shows a pier. Option B shows a barn.",
        "A car and a bus", "Section A is flooded.",
    ],
}
# fmt: on
CASES = [(text, letters) for letters, texts in READ.items() for text in texts]


@pytest.mark.parametrize(("text", "letters"), CASES)
def test_letters_are_read_as_a_person_reads_them(text: str, letters: str) -> None:
    assert chosen_letters(text) == set(letters)
    assert chosen_letter(text) == (letters if len(letters) == 1 else None)
    thought = f"<think>A, no: B or C. The answer is D.</think>{text}"
    assert chosen_letters(thought) == set(letters)
    credits = [answer_accuracy([text], [true], match="choice")["correct"][0] for true in ("A", "B", "CA")]
    assert credits == [float(letters == true) for true in ("A", "B", "AC")]


# How a list of letters is written, and in what.
JOINED = [", ", ",", " and ", "、", "，", "和", "；", " & ", "/"]
AROUND = [
    *(
        "{}",
        "({})",
        "Answer: {}",
        "The answer is {}.",
        "The correct answers are ({}).",
        "**{}**",
        "答案：{}",
        "答案是{}。",
        "选{}",
        "【{}】",
    ),
    *(
        "<answer>{}</answer>",
        "<think>A or F.</think>{}",
        "<think>B.</think>\n<answer>Option {}</answer>",
        "\\boxed{{{}}}",
        "I choose {}.",
    ),
    *(
        "The image shows a ship and a crane. Therefore the answer is {}",
        "Answer: {}\n\nG is wrong because there is no pier.",
    ),
    *("{} because a ship is seen", "I think it is {}.", "正解は{}です", "정답: {}", "Options {} are correct"),
]
WIDE = {code: code + 0xFEE0 for code in (*range(0x41, 0x5B), *range(0x30, 0x3A))} | {ord("("): "（", ord(")"): "）"}


@given(st.sets(st.sampled_from("ABCDEF"), min_size=1), st.randoms(use_true_random=False), st.sampled_from(AROUND))
def test_any_set_in_any_form_and_order_is_that_set(letters: set[str], chance: random.Random, around: str) -> None:
    order = sorted(letters)
    chance.shuffle(order)
    text = around.format(chance.choice(JOINED).join(order))
    assert chosen_letters(text) == letters, text
    if "<" not in text and "\\" not in text and not any(sign.islower() for sign in text):
        assert chosen_letters(text.translate(WIDE)) == letters, text.translate(WIDE)


@given(st.permutations("ABCDEF"), st.sampled_from([" or ", "或", "还是", ", or "]), st.sampled_from(AROUND))
def test_alternatives_choose_nothing(order: list[str], joined: str, around: str) -> None:
    text = around.format(joined.join(order[:2]))
    assert chosen_letters(text) == set(), text


@given(st.text(alphabet="ABab I.,()、和或是notrwe答案选\n ", max_size=60))
def test_any_text_is_read_and_case_of_tags_does_not_matter(text: str) -> None:
    assert chosen_letters(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert chosen_letters(f"<ANSWER>{text}</ANSWER>") == chosen_letters(f"<answer>{text}</answer>")


@pytest.mark.parametrize(
    "unit", ["A, ", "A or B ", "the answer ", "option ", "not A ", "A. pier, ", "选项", "(A", "I think it is "]
)
def test_time_grows_with_length_and_not_faster(unit: str) -> None:
    def seconds(count: int) -> float:
        text = unit * count + "x y"
        spent = []
        for _ in range(3):
            begun = time.process_time()
            chosen_letters(text)
            spent.append(time.process_time() - begun)
        return min(spent)

    assert seconds(8000) < 20 * max(seconds(1000), 0.001)
