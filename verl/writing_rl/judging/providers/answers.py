"""Reading what a provider answers, which is not always what its API promises. Pure functions."""

from __future__ import annotations

from writing_rl.errors import Unscored
from writing_rl.judging.chat import Answer

#: The reason where a model ends before its first word.
EMPTY = "empty"

#: More tokens than any answer has; a larger count is nonsense.
MOST_TOKENS = 10**9


def tokens_of(count: object) -> int:
    """A number of tokens as a provider reports it; 0 where that is no such number."""
    if isinstance(count, bool) or not isinstance(count, int | float) or not 0 <= count <= MOST_TOKENS:
        return 0
    return int(count)


def text_of(content: object) -> str:
    """A message's text, without halves of characters, which could not be written anywhere.

    Raises:
        Unscored: It is no text.
    """
    if content is None:
        return ""
    if not isinstance(content, str):
        raise Unscored("malformed", "the model answered something that is no text")
    return content.encode("utf-8", "replace").decode("utf-8")


def answer_of(text: str, ending: object, tokens: tuple[int, int]) -> Answer:
    """An answer, if it is one.

    Args:
        text: The judge's text.
        ending: Why it ended there, by the provider's word.
        tokens: Tokens read and written.

    Raises:
        Unscored: There is nothing in it, or its provider withheld it.
    """
    if ending == "content_filter":
        raise Unscored("content_filter", "the model's provider withheld its answer", tokens=tokens)
    if not text and ending != "length":  # a thinking model may use up its tokens before the first word
        raise Unscored(EMPTY, "the model answered nothing", tokens=tokens)
    return Answer(text, *tokens, truncated=ending == "length")
