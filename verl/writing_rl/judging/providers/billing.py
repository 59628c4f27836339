"""What a provider says that a request took, which providers count in different ways. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from writing_rl.judging.client.chat_model import Answer

#: More tokens than any answer has; a larger count is nonsense.
MOST_TOKENS = 10**9


class Tokens(NamedTuple):
    """The tokens of a request, as they are billed.

    Attributes:
        read: Those read in all.
        written: Those written in all, thinking included.
        cached: Those read that were in the provider's cache.
        stored: Those read that it put into its cache.
        thought: Those written that are thinking.
    """

    read: int = 0
    written: int = 0
    cached: int = 0
    stored: int = 0
    thought: int = 0


def read_usage(usage: object) -> Tokens:
    """The tokens in the field `usage` of an answer, by the names of OpenAI, DashScope, DeepSeek or Anthropic.

    OpenAI and DashScope count thinking among the tokens written; xAI and Gemini bill it on top and add it to
    the total alone. Anthropic counts what is read from a cache, or put into one, beside the tokens read.

    Returns:
        The tokens; none at all where one of the two sums is missing, since the bill is not known then.
    """
    if not isinstance(usage, Mapping):
        return Tokens()
    read = _first(usage, "prompt_tokens", "input_tokens")
    written = _first(usage, "completion_tokens", "output_tokens")
    total = _first(usage, "total_tokens")
    if written is None and read is not None and total is not None:
        written = total - read
    if read is None or written is None or written < 0:
        return Tokens()
    inputs = _details(usage, "prompt_tokens_details", "input_tokens_details")
    outputs = _details(usage, "completion_tokens_details", "output_tokens_details")
    cached = _first(inputs, "cached_tokens")
    stored = _first(inputs, "cache_write_tokens", "cache_creation_input_tokens") or 0
    if cached is None:
        cached = _first(usage, "prompt_cache_hit_tokens", "cached_tokens") or 0
    thought = _first(outputs, "reasoning_tokens") or _first(usage, "reasoning_tokens") or 0
    if "prompt_tokens" not in usage and "cache_read_input_tokens" in usage:
        cached = _first(usage, "cache_read_input_tokens") or 0
        stored = _first(usage, "cache_creation_input_tokens") or 0
        read += cached + stored
    if total is not None and total > read + written:
        written = total - read
    elif thought > written:  # on top, and no total that says so
        written += thought
    cached = min(cached, read)
    return Tokens(read, written, cached, min(stored, read - cached), min(thought, written))


def counted(answer: Answer, tokens: Tokens) -> Answer:
    """An answer with the tokens that its provider bills at other prices."""
    return replace(
        answer, cached_tokens=tokens.cached, stored_tokens=tokens.stored, thinking_tokens=tokens.thought
    )


def _first(fields: Mapping[str, Any], *names: str) -> int | None:
    """The first of some fields that is a number of tokens."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS:
            return math.ceil(value)
    return None


def _details(usage: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return next((usage[name] for name in names if isinstance(usage.get(name), Mapping)), {})
