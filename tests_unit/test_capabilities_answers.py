"""Answers are read from text, and scored, as the docs say; all cases are worked by hand."""

from __future__ import annotations

import pytest
from datasets_ import dataset_file
from hypothesis import example, given
from hypothesis import strategies as st

from editsuite.measures.capabilities.documents import hendrycks_math
from editsuite.measures.capabilities.mathematics import answer_in, boxed, normalised, solved
from editsuite.measures.capabilities.options import chosen, entailment, first_token, option_in
from editsuite.measures.capabilities.passages import normalised as words_of
from editsuite.measures.capabilities.passages import overlap, span
from editsuite.measures.capabilities.perplexities import least

ENTAILED, NOT_ENTAILED = {"label": 0}, {"label": 1}


@pytest.mark.parametrize(
    ("reply", "option"),
    [
        (" A", "A"),
        (" A. Yes", "A"),
        ("\n\nB. No\nFirst sentence: A", "B"),
        (" (B)", "B"),
        ("**A**", "A"),
        (" Yes", "A"),
        (" yes, it does", "A"),
        (" NO.", "B"),
        (" No, but yes to the other", "B"),
        (" The answer is B", "B"),
        (" A cat sat: no", "B"),  # the article
        (" A is right", None),  # cannot be told from an article
        (" a", None),  # a letter in lower case
        (" Not at all", None),  # "No" is a part of a word
        (" Yesterday, nobody", None),
        (" BA", None),
        (" A's", None),
        (" A1", None),
        (" C", None),
        ("", None),
        ("是 A", "A"),
    ],
)
def test_axb_reads_the_option_that_stands_first(reply: str, option: str | None) -> None:
    assert option_in(reply, "AB", {"yes": "A", "no": "B"}) == option
    assert entailment(ENTAILED, [reply]) == {"acc": float(option == "A")}
    assert entailment(NOT_ENTAILED, [reply]) == {"acc": float(option == "B")}


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("C", True),
        ("C. 工作", True),
        ("选C。", True),
        ("正确的选项是C。因为", True),
        ("C工作", True),
        ("(C)", True),
        ("B", False),
        ("A或C", False),
        ("D. 家庭\nC", False),
        ("工作", False),  # the option's text is no letter
        ("c", False),
        ("", False),
    ],
)
def test_c3_reads_the_letter_that_stands_first(reply: str, right: bool) -> None:
    doc = {"choice": ["旅行", "环境", "工作", "家庭"], "answer": "工作"}
    assert chosen(doc, [reply]) == {"acc": float(right)}


def test_a_letter_without_an_option_is_passed_over() -> None:
    assert chosen({"choice": ["左", "右"], "answer": "右"}, ["D. B"]) == {"acc": 1.0}


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        *((reply, True) for reply in (" B", "B", "\nB")),
        *((reply, False) for reply in (" b", " B.", " Ba", " A", " (", "\n", "")),
    ],
)
def test_the_first_token_is_the_letter_and_nothing_else(reply: str, right: bool) -> None:
    assert first_token({"answerKey": "B"}, [reply]) == {"acc": float(right)}


def test_the_least_perplexity_is_the_largest_log_probability_and_the_first_of_equals() -> None:
    scored = [(-3.0, False), (-1.0, False), (-1.0, False), (-9.0, False)]
    assert [least({"answer": n}, scored)["acc"] for n in range(4)] == [0.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("reply", "answer", "f1"),
    [
        ("Amos and Wilfrid Ayre", "Amos and Wilfrid Ayre", 1.0),
        ("The Ayre brothers!", "ayre brothers", 1.0),  # article, case and punctuation go
        ("in 1918", "1918", 2 / 3),  # 1 of 2 words, 1 of 1
        ("1918 1918", "1918", 2 / 3),  # a word counts as often as both have it
        ("the the", "the", 0.0),  # nothing is left of either
        ("", "1918", 0.0),
        ("1918", "1919", 0.0),
        ("U.S.A.", "usa", 1.0),
        ("১৯০ বর্গ কিলোমিটার", "১৯০ বর্গ", 4 / 5),  # 2 of 3, 2 of 2
        ("১৯০।", "১৯০", 0.0),  # the danda is no ASCII punctuation: another word
        ("1809년 2월 12일", "1809년 2월", 4 / 5),
        ("mwaka wa 1990", "1990", 1 / 2),  # 1 of 3, 1 of 1
        ("a la carte", "la carte", 1.0),  # the English article goes in all languages
    ],
)
def test_f1_counts_the_words_that_both_have(reply: str, answer: str, f1: float) -> None:
    assert overlap(reply, answer) == pytest.approx(f1)
    assert overlap(answer, reply) == pytest.approx(f1)


def test_the_best_of_several_answers_counts() -> None:
    doc = {"answers": {"text": ["the north of England", "England", "York"]}}
    assert span(doc, ["England."]) == {"f1": 1.0, "exact_match": 1.0}
    found = span(doc, ["northern York"])  # 1 of 2 words, 1 of 1
    assert found == {"f1": pytest.approx(2 / 3), "exact_match": 0.0}
    assert span(doc, [""]) == {"f1": 0.0, "exact_match": 0.0}


def test_two_answers_of_nothing_but_articles_match_exactly_and_share_no_word() -> None:
    assert span({"answers": {"text": ["the"]}}, ["a!"]) == {"f1": 0.0, "exact_match": 1.0}


@given(st.text(), st.text())
def test_f1_is_one_only_for_the_same_words(reply: str, answer: str) -> None:
    one, other = sorted(words_of(reply).split()), sorted(words_of(answer).split())
    assert 0 <= overlap(reply, answer) <= 1
    assert (overlap(reply, answer) == 1) == (one == other and bool(one))
    assert words_of(words_of(reply)) == words_of(reply)


SAME = [
    ("5", "$5$"),
    ("5", "5."),
    ("5", r"\boxed{5}"),
    ("5", "x = 5"),
    ("5", "x=5"),
    ("5", r"5\text{ cm}"),
    ("5", r"5 \text{ cm}^2"),
    ("5", r"5\mbox{ inches}"),
    ("5", "5 cm"),
    ("5", "5 square meters"),
    ("5", "5 cm^2"),
    ("5", r"\$5"),
    ("5", r"\(5\)"),
    ("50", r"50\%"),
    ("50", "50%"),
    ("45", r"45^\circ"),
    ("45", r"45^{\circ}"),
    ("45", "45°"),
    ("10000", "10,000"),
    ("10000", "10{,}000"),
    ("10000", r"10,\!000"),
    ("-1234567", "-1,234,567"),
    ("0.25", ".25"),
    ("-0.25", "-.25"),
    (r"\frac{1}{2}", r"\dfrac{1}{2}"),
    (r"\frac{1}{2}", r"\tfrac12"),
    (r"\frac{1}{2}", r"\frac 12"),
    (r"\frac{1}{2}", "1/2"),
    (r"\frac{1}{2}", "0.5"),
    (r"\frac{1}{2}", r"\frac1{2}"),
    (r"\frac{1}{72}", r"\frac1{72}"),
    (r"\frac{72}{5}", r"\frac{72}5"),
    (r"\frac{a}{b}", r"\frac{ a }{ b }"),
    (r"-\frac{3}{4}", r"\frac{-3}{4}"),
    (r"-\frac{3}{4}", "-3/4"),
    (r"\sqrt{3}", r"\sqrt3"),
    (r"2\sqrt{3}", r"2 \sqrt 3"),
    (r"\frac{\sqrt{3}}{2}", r"\dfrac{\sqrt3}{2}"),
    (r"\sqrt[3]{2}", r"\sqrt[3]{2}"),
    ("(2,5]", r"\left( 2, 5 \right]"),
    ("(2,5]", r"x \in (2,5]"),
    (r"(-\infty,2)\cup(3,\infty)", r"(-\infty, 2) \cup (3, \infty)"),
    (r"\{1,2\}", r"\left\{ 1,\, 2 \right\}"),
    ("even", r"\text{even}"),
    ("Tuesday", r"\text{Tuesday}."),
    ("(A)", r"\text{(A)}"),
    ("1,2", r"1 \text{ and } 2"),
    ("1,2", "1 and 2"),
    ("x^2+1", r"x^{2} + 1"),
    ("3x+2", "y = 3x + 2"),
    (r"2\pi", r"2 \pi"),
    (r"11\sqrt{2}", r"11\sqrt{2} \text{ units}"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_two_ways_to_write_an_answer_are_one(one: str, other: str) -> None:
    inner = boxed(other)
    assert normalised(other if inner is None else inner) == normalised(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5", "-5"),
        ("5", "6"),
        ("5", "5x"),
        ("5", ""),
        ("1,2", "12"),
        ("1,000,5", "10005"),
        ("(1,234)", "(1234)"),  # a pair, no number
        ("(2,5]", "[2,5]"),
        (r"\frac{1}{2}", r"\frac{2}{4}"),
        (r"\frac{12}{5}", r"\frac{1}{25}"),
        ("0.25", r"\frac{1}{4}"),  # nothing is computed
        (r"\sqrt{12}", r"\sqrt{1}2"),
        (r"2\sqrt{3}", r"\sqrt[2]{3}"),
        ("x^12", "x^{12}"),
        ("even", "odd"),
        ("AB", "BA"),
        (r"x\text{ cm}y", "x"),
        (r"\text{5 or }6", "5"),
    ],
)
def test_other_answers_stay_other(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        (r"so $\boxed{5}$.", "5"),
        (r"\boxed{1}, then \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"$\fbox{7}$", "7"),
        (r"\boxed 9 apples", "9"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),
        (r"\boxed{\text{a}b{c}}", r"\text{a}b{c}"),
        (r"\boxed{never closed", None),
        ("no box", None),
        (r"\boxed", None),
    ],
)
def test_the_last_box_is_read_with_its_braces(solution: str, answer: str | None) -> None:
    assert boxed(solution) == answer


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("It grows.\nThe final answer is $4\\sqrt{5}$.\n\n", "4\\sqrt{5}"),
        ("The final answer is 12. Next, 13.", "12"),
        ("The final answer is 3.14 or so\nand more", "3.14 or so"),
        ("The final answer is $\\$40$.", "\\$40"),
        ("the answer is: $[2,5)$. The final answer is $1$.", "[2,5)"),
        ("The final answer is $\\boxed{7}$.", "7"),
        ("The answer is $$8$$.", "8"),
        ("So we have \\boxed{6}.", "6"),
        ("The final answer is", None),
        ("It is 5.", None),
        ("", None),
    ],
)
def test_an_answer_is_found_in_a_written_solution(reply: str, answer: str | None) -> None:
    assert answer_in(reply) == answer


def test_a_solution_is_right_where_its_answer_is() -> None:
    doc = {"answer": r"\dfrac{2}{15}"}
    assert solved(doc, ["The final answer is $2/15$."]) == {"exact_match": 1.0}
    assert solved(doc, ["The final answer is $2/16$."]) == {"exact_match": 0.0}
    assert solved(doc, ["I do not know."]) == {"exact_match": 0.0}


@given(st.text(st.sampled_from(r"0123456789.,/\{}()[]$x= %^fracsqt"), max_size=20))
@example("\\frac")
@example("\\sqrt")
def test_any_text_is_normalised_without_blanks(text: str) -> None:
    assert not any(sign.isspace() for sign in normalised(text))


def test_every_gold_answer_of_math_is_found_again_when_it_is_said() -> None:
    folder = dataset_file("math", "test.jsonl").parents[1]
    documents = hendrycks_math.read(folder)[""]["test"]
    assert len(documents) == 5000
    for document in documents:
        reply = f"It follows.\nThe final answer is ${document['answer']}$."
        assert solved(document, [reply]) == {"exact_match": 1.0}, document["answer"]
