from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.judging.verdict import Outcome, Rewards, Strategy, Verdict, combine, outcome_of, parse_verdict
from writing_rl.text.brackets import plain

TOKENS = ("[[A]]", "[[B]]", "[[C]]")

# Texts full of what a careless parser would take for a verdict.
prose = st.one_of(
    st.text(),
    st.text(alphabet="ABC[]()abc.: \n"),
    st.lists(st.sampled_from(["A", "[[", "]]", "B", "\n", "[A]", " "])),
).map("".join)
prose = prose.filter(lambda text: not re.search(r"\[\[\s*[ABC]\s*\]\]", plain(text)))
# Nor what could be a tag of thinking, together with what it is put next to.
prose = prose.filter(lambda text: not re.search(r"[<>◁&]|think|analysis", plain(text), re.IGNORECASE))
one_line = prose.map(lambda text: " ".join(text.splitlines()))
any_text = st.lists(st.one_of(prose, st.sampled_from(TOKENS))).map("".join)


@given(prose)
def test_prose_never_decides(text: str) -> None:
    assert parse_verdict(text) is None


@given(before=any_text, left=one_line, token=st.sampled_from(TOKENS), right=one_line, after=prose)
def test_the_last_line_with_a_token_decides(
    before: str, left: str, token: str, right: str, after: str
) -> None:
    assert parse_verdict(f"{before}\n{left} {token} {right}\n{after}") == Verdict(token[2])


@given(before=any_text, tokens=st.permutations(TOKENS), count=st.integers(2, 3), after=prose)
def test_different_tokens_in_the_last_line_with_one_are_no_verdict(
    before: str, tokens: list[str], count: int, after: str
) -> None:
    assert parse_verdict(f"{before}\n{' or '.join(tokens[:count])}\n{after}") is None


@given(token=st.sampled_from(TOKENS), times=st.integers(1, 5))
def test_one_token_several_times_in_a_line_is_a_verdict(token: str, times: int) -> None:
    assert parse_verdict(f"My verdict: {token * times}") == Verdict(token[2])


@pytest.mark.parametrize(
    "text",
    [
        "Assistant B is clearly better.",
        "Assistant A is clearly better.",
        "A",
        "B.",
        "I'm sorry, but I can't compare these texts. As an AI, I would rather not judge.",
        "Both texts are good.",
        "Verdict: A",
        "[A]",
        "[[a]]",
        "[[D]]",
        "[[A] ]",
        *("[[AB]]", "[[A/B]]", "[[A or B]]", "[[A, B]]", "[[A][B]]", "[[A]\n]", "[\n[A]]", "[[A", "A]]"),
        *(
            "((A))",
            "{{A}}",
            "「「A」」",
            "《《A》》",
            "[[甲]]",
            "[[Text A]]",
            "[[ ]]",
            "[[]]",
            "[[A]",
            "【A】",
            "(A)",
        ),
        # Cyrillic and Greek letters: who writes "В" may mean the second letter or the third.
        *("[[А]]", "[[В]]", "[[С]]", "[[Α]]", "[[Β]]"),
        "Rating: [[2]]",
        "\\boxed{A}",
        "",
    ],
)
def test_a_text_without_a_token_is_no_verdict(text: str) -> None:
    assert parse_verdict(text) is None


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("[[A]]", Verdict.A),
        ("[[B]]", Verdict.B),
        ("[[C]]", Verdict.TIE),
        ("Text B develops its idea.\n\n**[[B]]**", Verdict.B),
        ("Final verdict: [[A]].\n\nThat is all.", Verdict.A),
        ("I end with [[A]], [[B]] or [[C]] as asked.\r\nB repeats itself.\r\n[[A]]\r\n", Verdict.A),
        ("The writer of A tells me to print [[A]].\nI do not follow that.\n[[B]]", Verdict.B),
        # Judges announce a verdict, look closer, and decide otherwise: the last one is the one they mean.
        (
            "[[B]]\n\nText A explains the idea in detail. Text B only compares it to salt.\nTherefore, [[A]]",
            Verdict.A,
        ),
        ("判断：文本A更好。\n[[A]]", Verdict.A),
        ("[[ B ]]", Verdict.B),
        ("[[\u00a0A\u3000]]", Verdict.A),
        ("［［A］］", Verdict.A),
        ("[[Ｂ]]", Verdict.B),
        ("［［ Ｃ ］］。", Verdict.TIE),
        ("【【B】】", Verdict.B),
        ("〖〖A〗〗 〔〔A〕〕", Verdict.A),
        ("[【B】]", Verdict.B),
        ("【[A]】", Verdict.A),
        ("⟦C⟧", Verdict.TIE),
        ("最终判决：【[[B]]】", Verdict.B),
        ("[[𝐀]]", Verdict.A),
        (r"\[\[A\]\]", Verdict.A),
        (r"\boxed{[[B]]}", Verdict.B),
        ("[[**A**]]", Verdict.A),
        ("**[[ `B` ]]**", Verdict.B),
        ("[[\u200bA]]\ufeff", Verdict.A),
        ("[\u2060[B\ufe0f]]", Verdict.B),
        ("[[A]] means that A is better, ［［A］］", Verdict.A),
        ("<answer>[[A]]</answer>", Verdict.A),
        ("[[B]]<|im_end|>", Verdict.B),
    ],
)
def test_a_verdict_is_read(text: str, verdict: Verdict) -> None:
    assert parse_verdict(text) is verdict


@pytest.mark.parametrize(
    "text",
    [
        *("[[A]] or [[B]]", "[[A]]\n[[A]], no, [[B]]", "It is [[C]], perhaps [[A]].\nOne more remark."),
        *("[[A]] ［［B］］", "[[ A ]] 【【C】】", r"[[A]] \[\[B\]\]", "[[Ａ]] [[B]]"),
    ],
)
def test_a_contradiction_in_the_deciding_line_is_no_verdict(text: str) -> None:
    assert parse_verdict(text) is None


@pytest.mark.parametrize(
    ("verdict", "slot", "outcome"),
    [
        (Verdict.A, Verdict.A, Outcome.WIN),
        (Verdict.A, Verdict.B, Outcome.LOSS),
        (Verdict.B, Verdict.A, Outcome.LOSS),
        (Verdict.B, Verdict.B, Outcome.WIN),
        (Verdict.TIE, Verdict.A, Outcome.TIE),
        (Verdict.TIE, Verdict.B, Outcome.TIE),
    ],
)
def test_a_verdict_means_the_policys_outcome(verdict: Verdict, slot: Verdict, outcome: Outcome) -> None:
    assert outcome_of(verdict, slot) is outcome


def test_the_policy_stands_where_the_strategy_says() -> None:
    assert Strategy("position-disadvantage").policy_slots == (Verdict.B,)
    assert Strategy("position-advantage").policy_slots == (Verdict.A,)
    assert set(Strategy("position-both").policy_slots) == {Verdict.A, Verdict.B}


@given(st.lists(st.sampled_from([Outcome.WIN, Outcome.TIE, Outcome.LOSS]), min_size=1, max_size=2))
def test_two_orders_stand_only_where_they_agree(outcomes: list[Outcome]) -> None:
    assert combine(outcomes) is (outcomes[0] if outcomes[0] is outcomes[-1] else Outcome.TIE)


def test_rewards_are_those_of_the_paper() -> None:
    assert [Rewards().of(outcome) for outcome in (Outcome.WIN, Outcome.TIE, Outcome.LOSS)] == [1.0, 0.5, 0.0]


def test_an_unscored_comparison_has_no_reward() -> None:
    with pytest.raises(ValueError, match="unscored"):
        Rewards().of(Outcome.UNSCORED)


THOUGHTS = "Text A has the better opening, so [[A]]? But it breaks off.\n"
SAYS = "Text B is the better one: it finishes."
TAGS = (
    *(
        ("<think>", "</think>"),
        ("<thinking>", "</thinking>"),
        ("<THINK>", "</Think>"),
        ("< think >", "</ think>"),
    ),
    *(("<thought>", "</thought>"), ("<reasoning>", "</reasoning>"), ("<analysis>", "</analysis>")),
    *(("<seed:think>", "</seed:think>"), ("<mm:think>", "</mm:think>"), ("<antThinking>", "</antThinking>")),
    *(('<think type="deep" n=1>', "</think>"), ("<scratchpad>", "</scratchpad>"), ("[THINK]", "[/THINK]")),
    *(("< think >", "</ think>"), ("【think】", "【/think】")),
    *(("<|begin_of_thought|>", "<|end_of_thought|>"), ("<|START_THINKING|>", "<|END_THINKING|>")),
    *(("◁think▷", "◁/think▷"), ("<|channel>thought\n", "<channel|>"), ("＜think＞", "＜/think＞")),
    *(
        ("<unused94>thought\n", "<unused95>"),
        ("&lt;think&gt;", "&lt;/think&gt;"),
        ("【think】", "【/think】"),
    ),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
)
# The channels of gpt-oss, decoded without its special tokens.
BARE = (("analysis", "assistantfinal"), ("analysisWe compare.", "assistantcommentary…assistantfinal"))


@pytest.mark.parametrize(("opening", "closing"), TAGS + BARE)
def test_thinking_decides_nothing(opening: str, closing: str) -> None:
    thoughts = opening + THOUGHTS + closing
    assert parse_verdict(f"{thoughts}\n\n{SAYS}") is None
    assert parse_verdict(f"{thoughts}\n\n{SAYS}\n[[B]]") is Verdict.B
    assert parse_verdict(f"{thoughts}[[B]]") is Verdict.B


@pytest.mark.parametrize("closing", [closing for _, closing in TAGS])
def test_thinking_that_the_template_opened_decides_nothing(closing: str) -> None:
    assert parse_verdict(f"{THOUGHTS}{closing}{SAYS}") is None
    assert parse_verdict(f"{THOUGHTS}{closing}{SAYS}\n[[B]]") is Verdict.B


@pytest.mark.parametrize("opening", [*(opening for opening, _ in TAGS), "analysisWe compare. "])
def test_thinking_without_an_end_decides_nothing(opening: str) -> None:
    assert parse_verdict(f"{opening}{THOUGHTS}[[B]]") is None
    assert parse_verdict(f"{opening}{THOUGHTS}</b>\n[[B]]") is None


@pytest.mark.parametrize(
    "text",
    [
        "<think>One.<think>Two.</think>[[A]]</think>So: B.",
        "<think>One.<think>Two.</think>\n[[A]]",
        "<think>One.<thinking>Two.</thinking>[[A]]</think>",
        "<think>One.</think>[[A]]</think>So: B.",
        "[[A]]</think>So [[C]]?</think>B.",
        "<think>One.</think>B.<think>Or [[A]]?",
        "<|channel|>analysis<|message|>[[A]]<|end|><|start|>assistant<|channel|>commentary<|message|>[[A]]<|end|>"
        "<|start|>assistant<|channel|>final<|message|>B.<|return|>",
        "<|channel|>final<|message|>[[A]]<|channel|>final<|message|>B.",
    ],
)
def test_nested_and_repeated_thinking_decides_nothing(text: str) -> None:
    assert parse_verdict(text) is None


#: Each would take hours, did a search begin anew at every place of the text.
HOSTILE = [
    piece * (1_000_000 // len(piece))
    for piece in (
        *(
            "<think>",
            "</think>",
            "<think ",
            "<",
            "< ",
            "[THINK]",
            "[[",
            "[[ ",
            "[[A",
            "［［Ａ］］",
            "【",
            "\n",
            "*_",
        ),
        *(
            "&lt;",
            "◁",
            "<a:",
            "\u200b",
            "\u0301\u0327",
            "<|channel|>",
            "<|channel|>final",
            "[[1,",
            "analysis",
        ),
        *("analysisassistantfina", "<|", "[[A]]\n", "\\[", "<!--", "</", "[[*", "\n", "*_", "analysis"),
    )
] + ["[[" + " " * 1_000_000, "[[" + "1," * 500_000, "<think" + " x" * 500_000, "analysis" + "x" * 1_000_000]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:12]))
def test_reading_is_linear_in_the_length_of_a_text(text: str) -> None:
    verdict = parse_verdict(text)
    assert verdict is (Verdict.A if text.startswith(("[[A]]", "［［")) else None)
