from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from writing_rl.errors import SettingError
from writing_rl.judging.call_forecast import JUDGE_TOKENS, CallForecast, lines_of, of_pairs
from writing_rl.judging.client.budget import Limits
from writing_rl.judging.client.prices import Price, most_of
from writing_rl.judging.judge import load_templates
from writing_rl.judging.pairs import Pair
from writing_rl.judging.settings import JudgeSettings

QUESTION = [{"role": "user", "content": "x" * 3984}]  # 1,000 tokens, about
PRICE = Price(1.0, 10.0)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "prices.yaml"
    path.write_text("m: {input: 1, output: 10}\n")
    return path


def settings(table: Path, *models: str, **more: Any) -> JudgeSettings:
    return JudgeSettings(models=models, base_url="http://127.0.0.1:9/v1", prices=str(table), **more)


def test_a_line_says_calls_tokens_dollars_and_where_the_price_is_from(table: Path) -> None:
    forecast = CallForecast("grades")
    forecast.include(settings(table, "m"))
    for _ in range(600):
        forecast.add("m", QUESTION, times=2)
    about = 1_200 * PRICE.of(1_000, JUDGE_TOKENS)
    most = 1_200 * most_of(QUESTION, 2_048, PRICE).cost_usd
    assert lines_of([forecast], Limits()) == [
        "grades: 1,200 calls to m, about 1.2 M tokens in and at most 2.5 M out: about "
        f"${about:.2f} with 400 tokens an answer, at most ${most:.2f} (m in {table})"
    ]


def test_an_answer_is_no_longer_than_it_may_be(table: Path) -> None:
    forecast = CallForecast("responses", 1_500)
    forecast.include(settings(table, "m", max_tokens=100))
    forecast.add("m", QUESTION)
    assert forecast.about_usd == pytest.approx(PRICE.of(1_000, 100))


def test_the_users_parameters_of_requests_count(table: Path) -> None:
    forecast = CallForecast("grades")
    forecast.include(settings(table, "m", request={"max_tokens": 100, "thinking_budget": 900}))
    forecast.add("m", QUESTION)
    assert "at most 1,000 out" in forecast.lines()[0]


def test_what_costs_nothing_has_no_dollars(table: Path) -> None:
    forecast = CallForecast("comparisons")
    forecast.include(settings(table, "offline"))
    forecast.add("offline", QUESTION, times=3)
    assert forecast.lines() == ["comparisons: 3 calls to offline, at no cost"]


def test_nothing_is_said_where_nothing_is_left(table: Path) -> None:
    forecast = CallForecast("comparisons")
    forecast.include(settings(table, "m"))
    assert lines_of([forecast], Limits(max_cost_usd=1.0)) == []


def test_a_model_without_a_price_is_named_with_the_line_to_add(table: Path) -> None:
    forecast = CallForecast("grades")
    forecast.include(settings(table, "m", "house"))
    forecast.add_to_all(QUESTION)
    first, second = forecast.lines()
    assert f"at most ${most_of(QUESTION, 2048, PRICE).cost_usd:.2f}, without house (m in " in first
    assert "add the line `house: {input: ..., output: ...}`" in second
    assert str(table) in second
    unpriced = CallForecast("grades")
    unpriced.include(settings(table, "house"))
    unpriced.add_to_all(QUESTION)
    assert unpriced.lines()[0].endswith("about 1,000 tokens in and at most 2,050 out: the cost is not known")
    with pytest.raises(SettingError, match="no price of house is known"):
        unpriced.include(settings(table, "house", limits=Limits(max_cost_usd=1.0)))


def test_limits_below_the_forecast_say_how_far_they_come(table: Path) -> None:
    stages = [CallForecast("responses"), CallForecast("grades")]
    for stage in stages:
        stage.include(settings(table, "m"))
        stage.add("m", QUESTION, times=50)
    about = 100 * PRICE.of(1_000, JUDGE_TOKENS)
    half = Limits(max_calls=30, max_cost_usd=about / 2)
    assert lines_of(stages, half)[2:] == [
        "--max-calls 30 ends this start after 30 of 100 calls",
        f"--max-cost-usd {about / 2:g} ends this start after about 50 of 100 calls",
    ]
    assert lines_of(stages, Limits(max_cost_usd=about * 1.01))[2:] == [
        f"--max-cost-usd {about * 1.01:g} may end this start before the last call"
    ]
    assert len(lines_of(stages, Limits(max_calls=100, max_cost_usd=1e3))) == 2


def test_pairs_are_asked_about_in_each_order_and_by_each_judge(table: Path) -> None:
    pairs = [Pair(1, "Write.", "A text.", "Another."), Pair(2, "Write.", " ", "Alone.", "Salt.")]
    assert of_pairs(pairs, settings(table, "m", "n"), load_templates(), orders=2).calls == 4
