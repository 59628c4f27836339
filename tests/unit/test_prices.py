from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.errors import SettingError
from writing_rl.judging.limits import Bill, Limits
from writing_rl.judging.make import check_prices
from writing_rl.judging.prices import DEFAULT_TABLE, Price, most_of, price_of, read_prices
from writing_rl.settings import JudgeSettings


def test_the_shipped_table_can_be_used() -> None:
    prices = read_prices(DEFAULT_TABLE)
    assert prices["gpt-4o-mini"].of(1_000_000, 1_000_000) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("gpt-4.1", "gpt-4.1"),
        ("gpt-4.1-2025-04-14", "gpt-4.1"),
        ("gpt-4.1-mini", "gpt-4.1-mini"),
        ("gpt-4.1-mini-2025-04-14", "gpt-4.1-mini"),
        ("gpt-4.1-nano", None),
        ("gpt-4", None),
    ],
)
def test_a_models_price_is_found_by_its_name_with_or_without_a_date(model: str, known: str | None) -> None:
    prices = {"gpt-4.1": Price(2, 8), "gpt-4.1-mini": Price(0.4, 1.6)}
    assert price_of(model, prices) == (prices[known] if known else None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("m: 3", "model m: it must be {input: ..., output: ...}"),
        ("m: {input: 1}", "model m: it must be {input: ..., output: ...}"),
        ("m: {input: 1, output: -1}", "model m: output is -1"),
        ("m: {input: .nan, output: 1}", "model m: input is nan"),
        ("m: {input: yes, output: 1}", "model m: input is True"),
        ("m: {input: 'a', output: 1}", "model m: input is 'a'"),
        ("- m", "is no table of models"),
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


def test_an_empty_table_is_one(tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text("# nothing yet\n")
    assert read_prices(tmp_path / "prices.yaml") == {}


@given(st.text(), st.integers(1, 5000))
def test_no_request_costs_more_than_is_reserved_for_it(text: str, max_tokens: int) -> None:
    price = Price(1.0, 2.0)
    most = most_of([{"role": "user", "content": text}], max_tokens, price)
    assert most.calls == 1
    assert most.prompt_tokens >= len(text.encode())
    assert most.cost_usd == price.of(most.prompt_tokens, max_tokens)
    assert most_of([], max_tokens, None) == Bill(1, 0, max_tokens)


def test_a_budget_needs_a_price() -> None:
    settings = JudgeSettings(models=("house-model",), base_url="http://here/v1")
    assert check_prices(settings) == {"house-model": None}
    limited = JudgeSettings(models=("house-model",), limits=Limits(max_cost_usd=1.0))
    with pytest.raises(SettingError, match=r"max_cost_usd is set, but .* holds no price of house-model"):
        check_prices(limited)
    assert check_prices(JudgeSettings(models=("offline",), limits=Limits(max_cost_usd=1.0)))
