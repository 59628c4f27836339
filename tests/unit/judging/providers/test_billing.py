from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.judging.providers.billing import Tokens, read_usage


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        # OpenAI: thinking is among the tokens written.
        (
            {
                "prompt_tokens": 2000,
                "completion_tokens": 900,
                "total_tokens": 2900,
                "prompt_tokens_details": {"cached_tokens": 1500, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 800},
            },
            Tokens(2000, 900, cached=1500, thought=800),
        ),
        # OpenAI's newer models bill what goes into the cache.
        (
            {
                "prompt_tokens": 2000,
                "completion_tokens": 9,
                "prompt_tokens_details": {"cached_tokens": 500, "cache_write_tokens": 1500},
            },
            Tokens(2000, 9, cached=500, stored=1500),
        ),
        # DeepSeek.
        (
            {"prompt_tokens": 100, "completion_tokens": 5, "prompt_cache_hit_tokens": 64},
            Tokens(100, 5, cached=64),
        ),
        # DashScope's own API.
        (
            {
                "input_tokens": 100,
                "output_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 80},
                "output_tokens_details": {"reasoning_tokens": 40},
            },
            Tokens(100, 50, cached=80, thought=40),
        ),
        # xAI, and Gemini: thinking is on top, and in the total alone.
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 10,
                "total_tokens": 410,
                "completion_tokens_details": {"reasoning_tokens": 300},
            },
            Tokens(100, 310, thought=300),
        ),
        (
            {
                "prompt_tokens": 1,
                "completion_tokens": 10,
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            Tokens(1, 40, thought=30),
        ),
        # Anthropic counts the cache beside the input.
        (
            {
                "input_tokens": 10,
                "output_tokens": 5,
                "cache_read_input_tokens": 100,
                "cache_creation_input_tokens": 20,
            },
            Tokens(130, 5, cached=100, stored=20),
        ),
        ({"prompt_tokens": 7, "completion_tokens": 0}, Tokens(7, 0)),
        ({"prompt_tokens": 7, "total_tokens": 9}, Tokens(7, 2)),
        # Nothing is known of the bill.
        ({"prompt_tokens": 7}, Tokens()),
        ({"completion_tokens": 7}, Tokens()),
        ({"prompt_tokens": 7, "total_tokens": 3}, Tokens()),
        ({"prompt_tokens": "7", "completion_tokens": 5}, Tokens()),
        ({"prompt_tokens": -7, "completion_tokens": 5}, Tokens()),
        ({"prompt_tokens": 10**12, "completion_tokens": 5}, Tokens()),
        ({"prompt_tokens": True, "completion_tokens": 5}, Tokens()),
        ({}, Tokens()),
        (None, Tokens()),
        ([1], Tokens()),
        # Details that cannot be true.
        (
            {"prompt_tokens": 7, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 900}},
            Tokens(7, 5, cached=7),
        ),
        ({"prompt_tokens": 7, "completion_tokens": 5, "prompt_tokens_details": "x"}, Tokens(7, 5)),
    ],
)
def test_tokens_are_counted_as_they_are_billed(usage: Any, tokens: Tokens) -> None:
    assert read_usage(usage) == tokens


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.dictionaries(
        st.sampled_from(
            (
                "prompt_tokens",
                "completion_tokens",
                "total_tokens",
                "cached_tokens",
                "reasoning_tokens",
                "prompt_tokens_details",
                "completion_tokens_details",
                "cache_read_input_tokens",
            )
        ),
        inner,
    ),
    max_leaves=12,
)


@given(_ANY)
def test_whatever_a_provider_says_the_parts_fit_into_the_whole(usage: Any) -> None:
    tokens = read_usage(usage)
    assert min(tokens) >= 0
    assert tokens.cached + tokens.stored <= tokens.read
    assert tokens.thought <= tokens.written
