from __future__ import annotations

import re
import socket
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    TimeOfDateConstraint,
)
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.errors import SettingError
from writing_rl.judging.client.budget import Bill, Limits
from writing_rl.judging.client.price_lookup import DASHSCOPE, DASHSCOPE_TABLE, _dearest, data_date, find_price
from writing_rl.judging.client.prices import (
    FREE,
    MOST_OUTPUT_TOKENS,
    MOST_THINKING_TOKENS,
    Price,
    entry_of,
    line_to_add,
    most_of,
    most_output_tokens,
    read_prices,
)
from writing_rl.judging.factory import check_prices, price_lines
from writing_rl.judging.settings import JudgeSettings

OPENROUTER = "https://openrouter.ai/api/v1"
AZURE = "https://house.openai.azure.com/openai/v1"
GATEWAY = "http://127.0.0.1:4000/v1"

TIERED = Price(
    1.0,
    2.0,
    cached_input=0.1,
    cache_write=1.25,
    thinking_output=5.0,
    per_request=0.01,
    above=((1_000, Price(2.0, 4.0)), (10_000, Price(3.0, 6.0, cached_input=0.3))),
)


@pytest.mark.parametrize(
    ("tokens", "dollars"),
    [
        ({"read": 1_000, "written": 0}, 0.01 + 1_000e-6),
        ({"read": 1_001, "written": 10}, 1_001 * 2e-6 + 10 * 4e-6),
        ({"read": 10_001, "written": 0}, 10_001 * 3e-6),
        ({"read": 1_000, "written": 0, "cached": 900}, 0.01 + 100e-6 + 900 * 0.1e-6),
        ({"read": 1_000, "written": 0, "cached": 500, "stored": 500}, 0.01 + 50e-6 + 625e-6),
        ({"read": 0, "written": 100, "thought": 1}, 0.01 + 500e-6),
        ({"read": 0, "written": 100}, 0.01 + 200e-6),
        ({"read": 20_000, "written": 0, "cached": 20_000}, 20_000 * 0.3e-6),
        # Where a tier says nothing of a cache, it is at the price of other input.
        ({"read": 2_000, "written": 1, "cached": 2_000, "thought": 1}, 2_000 * 2e-6 + 4e-6),
    ],
)
def test_tiers_cached_input_and_thinking_have_their_own_rates(tokens: dict[str, int], dollars: float) -> None:
    assert TIERED.of(**tokens) == pytest.approx(dollars)


@given(
    read=st.integers(0, 50_000),
    written=st.integers(0, 5_000),
    cached=st.integers(0, 60_000),
    stored=st.integers(0, 60_000),
    thought=st.integers(0, 5_000),
    more=st.integers(0, 50_000),
)
def test_no_bill_is_larger_than_its_reservation(
    read: int, written: int, cached: int, stored: int, thought: int, more: int
) -> None:
    took = TIERED.of(read, written, cached=cached, stored=stored, thought=thought)
    assert 0 <= took <= TIERED.at_most(read + more, written + more) + 1e-12


@given(st.text(), st.integers(1, 5000))
def test_a_token_is_reserved_for_each_byte(text: str, max_tokens: int) -> None:
    price = Price(1.0, 2.0)
    most = most_of([{"role": "user", "content": text}], max_tokens, price)
    assert most.calls == 1
    assert most.prompt_tokens >= len(text.encode())
    assert most.cost_usd == price.of(most.prompt_tokens, max_tokens)
    assert most_of([], max_tokens, None) == Bill(1, 0, max_tokens)


def test_what_else_a_request_holds_is_reserved_for_and_thinking_only_where_it_may_be() -> None:
    thinking, messages = Price(1.0, 2.0, thinking_output=9.0), [{"role": "user", "content": "x"}]
    schema = {"response_format": {"json_schema": "x" * 1_000}}
    assert most_of(messages, 10, thinking, schema).prompt_tokens > 1_000
    assert most_of(messages, 1_000, thinking).cost_usd > 9e-3
    assert most_of(messages, 1_000, thinking, {"enable_thinking": False}).cost_usd < 3e-3


@pytest.mark.parametrize(
    ("request_", "tokens"),
    [
        ({}, 2048),
        ({"temperature": 1, "top_p": 0.9}, 2048),
        ({"max_tokens": 4096}, 4096),
        ({"max_tokens": None, "max_completion_tokens": 8000}, 8000),
        ({"max_output_tokens": 300}, 300),
        ({"max_tokens": None}, MOST_OUTPUT_TOKENS),
        ({"max_tokens": "many"}, MOST_OUTPUT_TOKENS),
        ({"thinking_budget": 1000}, 3048),
        ({"enable_thinking": True, "thinking_budget": 1000}, 3048),
        ({"enable_thinking": True}, 2048 + MOST_THINKING_TOKENS),
        ({"enable_thinking": False}, 2048),
        ({"reasoning": {"max_tokens": 500}}, 2548),
        ({"reasoning": {"effort": "high"}}, 2048),
        ({"thinking": {"type": "enabled", "budget_tokens": 700}}, 2748),
        ({"n": 3, "max_tokens": 10}, 30),
        ({"n": True, "reasoning": "yes", "thinking": None}, 2048),
        ({"max_tokens": float("nan")}, MOST_OUTPUT_TOKENS),
    ],
)
def test_a_reservation_counts_thinking_and_whatever_limit_is_sent(
    request_: dict[str, Any], tokens: int
) -> None:
    assert most_output_tokens(request_, 2048) == tokens


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("gpt-4.1", "gpt-4.1"),
        ("GPT-4.1", "gpt-4.1"),
        ("gpt-4.1-2025-04-14", "gpt-4.1"),
        ("gpt-4.1-20250414", "gpt-4.1"),
        ("gpt-4.1-latest", "gpt-4.1"),
        ("gpt-4.1-mini-2025-04-14", "gpt-4.1-mini"),
        ("gpt-4.1-nano", None),
        ("gpt-4", None),
        ("gpt-4.1-20-turbo", None),
    ],
)
def test_an_entry_is_found_by_its_name_with_or_without_a_date(model: str, known: str | None) -> None:
    found = entry_of(model, {"gpt-4.1": Price(2, 8), "gpt-4.1-mini": Price(0.4, 1.6)})
    assert (found and found[0]) == known


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("m: 3", "model m: it must be {input: ..., output: ...}"),
        ("m: ''", "model m: it must be {input: ..., output: ...}"),
        ("m: {input: 1}", "model m: it must be {input: ..., output: ...}"),
        ("m: {input: 1, output: -1}", "model m: output is -1"),
        ("m: {input: .nan, output: 1}", "model m: input is nan"),
        ("m: {input: yes, output: 1}", "model m: input is True"),
        ("m: {input: 'a', output: 1}", "model m: input is 'a'"),
        ("m: {input: ..., output: ...}", "model m: input is '...'"),
        ("m: {input: 1, output: 1, cashed_input: 1}", "model m: 'cashed_input' is not known there"),
        ("m: {input: 1, output: 1, above: 3}", "model m: above must be"),
        ("m: {input: 1, output: 1, above: {x: {input: 1, output: 1}}}", "model m: above has 'x'"),
        ("m: {input: 1, output: 1, above: {9: {input: 1}}}", "model m, above 9: it must be"),
        ("- m", "is not a table of models"),
        ("m: {", "cannot be read"),
    ],
)
def test_an_entry_that_cannot_be_used_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(content)
    with pytest.raises(SettingError) as error:
        read_prices(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_table_holds_tiers_and_other_names(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        "m: {input: 1, output: 2, cached_input: 0.1, above: {2000: {input: 3, output: 4},"
        " 1000: {input: 2, output: 3}}}\nother: m\n"
    )
    tiers = ((1000, Price(2, 3)), (2000, Price(3, 4)))
    assert read_prices(path) == {"m": Price(1, 2, cached_input=0.1, above=tiers), "other": "m"}
    path.write_text("# nothing yet\n")
    assert read_prices(path) == {}


@pytest.mark.parametrize(
    ("model", "address", "price"),
    [
        ("gpt-4.1", None, (2.0, 8.0)),
        ("gpt-4.1-2025-04-14", "https://api.openai.com/v1/", (2.0, 8.0)),
        ("claude-opus-4-7", None, None),  # OpenAI does not sell it
        ("openai/gpt-4.1", OPENROUTER, (2.0, 8.0)),
        ("house/unheard-of", OPENROUTER, None),
        ("qwen/qwen-plus:nitro", OPENROUTER, None),
        ("deepseek/deepseek-chat-v3-0324:free", OPENROUTER, (0.0, 0.0)),
        ("gpt-4.1", AZURE, (2.0, 8.0)),
        ("our-deployment", AZURE, None),
        ("qwen-plus", DASHSCOPE, (0.4, 1.2)),
        ("qwen-plus-2025-07-28", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", (0.4, 1.2)),
        ("deepseek-r1", DASHSCOPE, None),  # DeepSeek's own price is another one
        ("gpt-4.1", GATEWAY, (2.0, 8.0)),
        ("openai/gpt-4.1", GATEWAY, (2.0, 8.0)),
        ("qwen-plus", GATEWAY, (0.4, 1.2)),
        ("qwen/qwen-plus", GATEWAY, (0.4, 1.2)),
        ("our-own", GATEWAY, None),
        ("Qwen/Qwen3-8B", GATEWAY, None),
        ("mistralai/Mistral-7B-Instruct-v0.3", GATEWAY, None),
        ("gpt-4.1-of-ours", GATEWAY, None),
        ("", GATEWAY, None),
    ],
)
def test_a_price_is_that_of_the_seller_or_the_makers_list_price(
    model: str, address: str | None, price: tuple[float, float] | None
) -> None:
    found = find_price(model, address, {})
    assert (found and (found.input, found.output)) == price
    if found and address == GATEWAY:
        assert "list price, as none is known of 127.0.0.1" in found.source


def test_the_source_of_a_price_is_dated() -> None:
    gpt, qwen = find_price("gpt-4.1", None, {}), find_price("qwen-plus", DASHSCOPE, {})
    assert gpt
    assert gpt.source == f"gpt-4.1: at OpenAI, {data_date()}"
    assert re.fullmatch(r"genai-prices \d+\.\d+\S* of 20\d\d-\d\d-\d\d", data_date())
    assert qwen
    assert re.search(r"DashScope, judge_prices.yaml of 20\d\d-\d\d-\d\d", qwen.source)


def test_tiers_and_cached_input_come_from_the_package() -> None:
    gemini = find_price("gemini-2.5-pro", GATEWAY, {})
    assert gemini
    assert gemini.cached_input is not None
    assert [start for start, _ in gemini.above] == [200_000]
    assert gemini.above[0][1].input > gemini.input > gemini.cached_input
    assert gemini.of(200_001, 0) == pytest.approx(200_001 * gemini.above[0][1].input / 1e6)


def test_a_price_that_goes_by_the_hour_is_the_dearest() -> None:
    night = TimeOfDateConstraint(time(1), time(2))
    prices = [
        ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(2))),
        ConditionalPrice(night, prices=ModelPrice(input_mtok=Decimal(3), output_mtok=Decimal(6))),
    ]
    info = ModelInfo(id="m", match=ClauseEquals("m"), prices=prices)
    assert _dearest(info) == Price(3.0, 6.0)


def test_the_users_own_prices_come_on_top_entry_by_entry(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        "gpt-4.1: {input: 1.5, output: 6}\nour-deployment: gpt-4.1-mini\nother: gpt-4.1\nlost: no-such\n"
    )
    models = ("gpt-4.1", "our-deployment", "other", "gpt-4.1-nano", "lost")
    found = check_prices(JudgeSettings(models=models, base_url=AZURE, prices=str(path)))
    rates = {name: price and (price.input, price.output) for name, price in found.items()}
    assert rates == {
        "gpt-4.1": (1.5, 6.0),
        "our-deployment": (0.4, 1.6),  # at Azure
        "other": (1.5, 6.0),
        "gpt-4.1-nano": (0.1, 0.4),  # of the package: the file does not replace it
        "lost": None,
    }
    mine, deployment = found["gpt-4.1"], found["our-deployment"]
    assert mine
    assert mine.source == f"gpt-4.1 in {path}"
    assert deployment
    assert deployment.source.startswith("our-deployment, billed as gpt-4.1-mini: at Microsoft Azure")


def test_a_budget_needs_a_price_and_names_the_line_to_add(tmp_path: Path) -> None:
    settings = JudgeSettings(models=("house-model",), base_url="http://here/v1")
    assert check_prices(settings) == {"house-model": None}
    limited = JudgeSettings(
        models=("gpt-4.1", "a:b"), base_url="http://here/v1", limits=Limits(max_cost_usd=1.0)
    )
    with pytest.raises(SettingError) as error:
        check_prices(limited)
    assert "max_cost_usd is set, but no price of a:b is known" in str(error.value)
    line = re.search("`(.*?)`", str(error.value))
    assert line
    assert line[1] == line_to_add("a:b")
    # With figures in it, the line is one of a table.
    path = tmp_path / "prices.yaml"
    path.write_text(line[1].replace("...", "1"))
    assert read_prices(path) == {"a:b": Price(1, 1)}
    assert check_prices(JudgeSettings(models=("offline",), limits=Limits(max_cost_usd=1.0))) == {
        "offline": FREE
    }


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1))
def test_the_line_to_add_is_yaml_whatever_the_model_is_called(model: str) -> None:
    assert yaml.safe_load(line_to_add(model)) == {model: {"input": "...", "output": "..."}}
    assert "\n" not in line_to_add(model)


def test_the_start_says_which_price_is_used() -> None:
    models = ("gpt-4.1", "house-model", "offline")
    known, unknown = price_lines(JudgeSettings(models=models, base_url=GATEWAY))
    assert known.startswith(
        "price of gpt-4.1: $2 a million tokens read ($0.5 from the cache), $8 written (gpt-4.1: "
    )
    assert (
        "no price of house-model is known: add the line `house-model: {input: ..., output: ...}`" in unknown
    )


def test_the_table_of_dashscope_can_be_used() -> None:
    table = read_prices(DASHSCOPE_TABLE)
    assert all(find_price(name, DASHSCOPE, {}) for name in table)


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert find_price("gpt-4.1", None, {})
