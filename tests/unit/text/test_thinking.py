from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.text.thinking import judged_text, said, shows_nothing, strip_thinking

untagged = st.text().filter(lambda text: not re.search(r"think|thought|unused|channel|analysis", text, re.I))
# Nothing that could complete a tag together with what it is put next to.
plain = st.text(alphabet=st.characters(exclude_characters="<>[]◁▷")).filter(
    lambda text: "analysis" not in text
)


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("A story.", "A story."),
        ("  \nA story.\n\n", "A story."),
        ("<think>plan\nmore plan</think>\n\nA story.", "A story."),
        ("plan that the template opened</think>A story.", "A story."),
        ("</think>A story.", "A story."),
        ("plan</think>A story.<think>second thoughts</think> The end.", "A story. The end."),
        ("<think>one</think>First.<think>two</think>Second.", "First.Second."),
        ("<think></think>A story.", "A story."),
        ("She said: I think so. <b>Really</b>.", "She said: I think so. <b>Really</b>."),
    ],
)
def test_the_answer_is_what_stands_outside_of_thinking(response: str, answer: str) -> None:
    assert strip_thinking(response) == answer


@pytest.mark.parametrize(
    "response",
    [
        "",
        "   \n\t ",
        "<think>plan",
        "<think>plan</think>",
        "<think>plan</think>  \n",
        "plan that the template opened</think>",
        "A story.<think>and then it broke off",
        "<think>one</think>First.<think>two",
        "plan</think>A story.<think>never closed",
    ],
)
def test_a_response_without_an_answer_is_empty(response: str) -> None:
    assert strip_thinking(response) == ""


@given(untagged)
def test_a_text_without_tags_only_loses_white_space(text: str) -> None:
    assert strip_thinking(text) == text.strip()


@given(thoughts=plain, answer=plain)
def test_thinking_changes_nothing_about_the_answer(thoughts: str, answer: str) -> None:
    assert strip_thinking(f"<think>{thoughts}</think>{answer}") == answer.strip()
    assert strip_thinking(f"{thoughts}</think>{answer}") == answer.strip()


@given(before=plain, after=plain)
def test_an_unclosed_thinking_part_leaves_no_answer(before: str, after: str) -> None:
    assert strip_thinking(f"{before}<think>{after}") == ""


@given(st.lists(st.tuples(plain, plain), min_size=1, max_size=4))
def test_every_closed_block_goes(parts: list[tuple[str, str]]) -> None:
    response = "".join(f"<think>{thoughts}</think>{answer}" for thoughts, answer in parts)
    assert strip_thinking(response) == "".join(answer for _, answer in parts).strip()


TAGS = (
    *(
        ("<think>", "</think>"),
        ("<thinking>", "</thinking>"),
        ("<THINK>", "</THINK>"),
        ("<think >", "</think >"),
    ),
    *(("<thought>", "</thought>"), ("<seed:think>", "</seed:think>"), ('<think n="1">', "</think>")),
    *(("[THINK]", "[/THINK]"), ("<|begin_of_thought|>", "<|end_of_thought|>"), ("◁think▷", "◁/think▷")),
    *(("<|START_THINKING|>", "<|END_THINKING|>"), ("<|channel>thought\n", "<channel|>")),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("<|start|>assistant<|channel|>analysis<|message|>", "<|channel|>final <|constrain|>text<|message|>"),
)


@pytest.mark.parametrize(("opening", "closing"), [*TAGS, ("analysis", "assistantfinal")])
def test_the_tags_of_all_models_are_known(opening: str, closing: str) -> None:
    assert strip_thinking(f"{opening}plan{closing}\n\nA story.") == "A story."
    assert strip_thinking(f"\n{opening}{closing}A story.\n") == "A story."


@pytest.mark.parametrize(("opening", "closing"), TAGS)
def test_thinking_that_is_open_at_an_end_leaves_no_answer_or_what_follows(opening: str, closing: str) -> None:
    assert strip_thinking(f"plan{closing}A story.") == "A story."
    assert strip_thinking(f"{opening}plan\nA story.") == ""
    assert strip_thinking(f"A story.{opening}plan") == ""


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("<think>a<think>b</think>c</think>A story.", "A story."),
        ("<think>a<thinking>b</thinking>c</think>A story.", "A story."),
        # Thinking about the tag itself.
        ("<think>I should not write <think> twice.</think>A story.", "A story."),
        ("<think>I close with </think> in the end.</think>A story.", "A story."),
        ("<reasoning>plan</reasoning>A story.", "A story."),
        (" <scratchpad>plan</scratchpad>A story.", "A story."),
        ("<reasoning>plan, and no story", ""),
        (
            "<|channel|>analysis<|message|>plan<|end|>"
            "<|start|>assistant<|channel|>final<|message|>A story.<|return|>",
            "A story.",
        ),
        ("analysisWe need a story.assistantfinalA story.", "A story."),
        ("analysisWe need a story", ""),
        # A story may use such words, and even tags.
        ("The log said <reasoning> and nothing else.", "The log said <reasoning> and nothing else."),
        (
            "I thought: think! [Think] (thinking) <b>thought</b>",
            "I thought: think! [Think] (thinking) <b>thought</b>",
        ),
        ("<report><analysis>Salt.</analysis></report>", "<report><analysis>Salt.</analysis></report>"),
        ("<thinker>Rodin</thinker> and <think/>", "<thinker>Rodin</thinker> and <think/>"),
        ("The analysis of salt was final.", "The analysis of salt was final."),
        ("analysis of salt", "analysis of salt"),
        ("&lt;think&gt; is a tag.", "&lt;think&gt; is a tag."),
    ],
)
def test_thinking_is_told_from_a_story(response: str, answer: str) -> None:
    assert strip_thinking(response) == answer


INVISIBLE = (
    *(
        "\u200b",
        "\ufeff",
        "\u202e",
        "\u00ad",
        "\u200d\u200c",
        "\u2060",
        "\ufe0f",
        "\u3164",
        "\u115f\u1160",
        "\uffa0",
    ),
    *(
        "\u2800",
        "\u0301\u0327",
        "\U000e0041\U000e007f",
        "\U000e0100",
        "\u180e",
        "\u061c",
        "\x00\x07\x1b",
        "\ud800",
    ),
    *("\u2028", "\u3000", "\u034f", "\u17b4", "\ufffc", "\U0001d173", "\u2066\u2069", "\ufff9", "\u20dd", ""),
)


@pytest.mark.parametrize("text", INVISIBLE, ids=ascii)
def test_a_text_that_shows_nothing_is_no_answer(text: str) -> None:
    assert shows_nothing(text)
    assert (
        judged_text(text) == judged_text(f" {text * 50}\n") == judged_text(f"<think>plan</think>{text}") == ""
    )
    assert judged_text(f"{text}A story.").endswith("A story.")
    assert not shows_nothing(f"{text * 50}!{text}")


@pytest.mark.parametrize(
    "text", ["a", ".", "…", "好", "🙂", "é", "e\u0301", "1", "\u200b-", "ᄀ", "⠁", "한\u3164"]
)
def test_what_can_be_seen_is_an_answer(text: str) -> None:
    assert judged_text(f" {text}") == text


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece",
    [
        *(
            "<think>",
            "</think>",
            "<think>a</think>",
            "<think ",
            "<",
            "<|channel|>",
            "<|channel|>final",
            "[THINK]",
        ),
        *("\u200b", "\u0301\u0327", "◁", "<a:", "<reasoning ", "\n", " ", "analysisassistantfina"),
    ],
    ids=ascii,
)
def test_long_texts_are_read_at_once(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    assert len(judged_text(text)) <= len(text)
    assert judged_text(f"{text}</think>A story.") == "A story."
    assert said(f"<reasoning>{text}") == ""
