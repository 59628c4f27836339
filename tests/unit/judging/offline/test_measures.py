"""The offline judge: what it promises for any text, and what it can tell apart."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from writing_rl.judging.offline.measures import WEIGHTS, judge_text, score_text

PROMPT = "Write a story of four sentences about a sailor and her violin."
GOOD = (
    "A sailor found an old violin on the beach. She mended its strings with fishing line. "
    "Every evening her violin sang to the whales below. At last the captain wept and asked her to teach him."
)
SWAPPED = {"[[A]]": "[[B]]", "[[B]]": "[[A]]", "[[C]]": "[[C]]"}


def verdict(prompt: str, answer_a: str, answer_b: str) -> str:
    return judge_text(prompt, answer_a, answer_b).splitlines()[-1]


@given(prompt=st.text(), text=st.text())
def test_score_is_in_range_and_deterministic(prompt: str, text: str) -> None:
    score = score_text(prompt, text)
    assert 0.0 <= score.total <= 10.0
    assert set(score.parts) <= set(WEIGHTS)
    assert all(0.0 <= part <= 1.0 for part in score.parts.values())
    assert score == score_text(prompt, text)


@given(prompt=st.text(), answer_a=st.text(), answer_b=st.text())
def test_swapping_the_answers_swaps_the_verdict(prompt: str, answer_a: str, answer_b: str) -> None:
    assert verdict(prompt, answer_b, answer_a) == SWAPPED[verdict(prompt, answer_a, answer_b)]


@settings(max_examples=30)
@given(number=st.integers(0, 9000), unit=st.sampled_from(["words", "sentences", "字", "句"]), text=st.text())
def test_any_length_may_be_asked(number: int, unit: str, text: str) -> None:
    assert 0.0 <= score_text(f"{10**number if number < 9 else '9' * number} {unit}", text).total <= 10.0


@pytest.mark.parametrize("text", ["", " \n", "?!", "。。。"])
def test_nothing_scores_nothing(text: str) -> None:
    assert score_text(PROMPT, text).total == 0.0


def test_a_text_ties_with_itself() -> None:
    assert verdict(PROMPT, GOOD, GOOD) == "[[C]]"


def test_says_what_it_is() -> None:
    assert "no LLM" in judge_text(PROMPT, GOOD, "")


def test_negative_margin_is_refused() -> None:
    with pytest.raises(ValueError, match="tie_margin"):
        judge_text(PROMPT, GOOD, GOOD, tie_margin=-1)


@pytest.mark.parametrize(
    "worse",
    [
        GOOD.rsplit(" ", 4)[0],
        " ".join([GOOD.split(". ", maxsplit=1)[0] + "."] * 4),
        GOOD.replace("violin", "table").replace("sailor", "man"),
        GOOD.split(". ", maxsplit=1)[0] + ".",
        "Bananas are yellow. Trains leave on time. Paper burns quickly. Cement hardens with sand.",
        PROMPT,
        "sailor violin " * 20,
    ],
    ids=["broken off", "repeated", "other words", "too short", "off the subject", "prompt echoed", "stuffed"],
)
def test_prefers_the_better_text(worse: str) -> None:
    assert verdict(PROMPT, GOOD, worse) == "[[A]]"


@pytest.mark.parametrize(
    ("prompt", "fits", "misses"),
    [
        ("Write 20 words.", "word " * 20, "word " * 8),
        ("A 1,000-word essay.", "word " * 1000, "word " * 500),
        ("Three to five sentences, please.", "Yes. No. Yes.", "Yes."),
        ("Write two hundred words.", "word " * 200, "word " * 100),
        ("A hundred words, please.", "word " * 100, "word " * 50),
        ("Five short sentences.", "Yes. No. Yes. No. Yes.", "Yes."),
        ("At least 10 words.", "word " * 15, "word " * 5),
        ("请写一篇不少于20字的作文。", "花" * 25, "花" * 9),
        ("在20字以内写一个故事。", "花" * 18, "花" * 40),
        ("写一篇二十字的故事。", "花" * 20, "花" * 9),
        ("用三句话回答。", "好。好。好。", "好。"),
    ],
)
def test_reads_the_length_asked_for(prompt: str, fits: str, misses: str) -> None:
    assert score_text(prompt, fits).parts["length"] == 1.0
    assert score_text(prompt, misses).parts["length"] < 0.6


def test_length_is_left_out_when_none_is_asked() -> None:
    assert "length" not in score_text("Tell me about the sea in other words.", GOOD).parts


def test_chinese_text_on_the_subject_wins() -> None:
    prompt = "请写一篇关于春天花园的短文。"
    good = (
        "春天来了，花园里的桃树开满了粉红的花。蜜蜂在花丛间忙碌，孩子们笑着追逐蝴蝶。傍晚，花园慢慢安静下来。"
    )
    assert verdict(prompt, good, "火车准时出发。火车准时出发。火车准时出发。") == "[[A]]"
