from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.judging.text import strip_thinking

untagged = st.text().filter(lambda text: "<think>" not in text and "</think>" not in text)
# Nothing that could complete a tag together with what it is put next to.
plain = st.text(alphabet=st.characters(exclude_characters="<>"))


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
