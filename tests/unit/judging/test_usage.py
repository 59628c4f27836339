from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.judging.client.chat_model import Answer
from writing_rl.judging.compare import Call, Comparison
from writing_rl.judging.usage import Usage
from writing_rl.judging.verdict import Outcome, Verdict
from writing_rl.util.quantiles import quantile


def comparison(*latencies: float, flipped: bool = False) -> Comparison:
    answers = [Answer("[[A]]", 10, 2, latency_s=latency, cost_usd=0.25) for latency in latencies]
    calls = tuple(Call("judge", Verdict.A, answer, Verdict.A) for answer in answers)
    return Comparison(Outcome.WIN, flipped=flipped, calls=calls)


def test_a_step_adds_up() -> None:
    parts = [comparison(1.0, 3.0, flipped=True), comparison(2.0), comparison()]
    assert Usage.total(map(Usage.of, parts)).metrics() == {
        "writing_rl/judge/calls": 3,
        "writing_rl/judge/latency_s/p50": 2.0,
        "writing_rl/judge/latency_s/p95": 3.0,
        "writing_rl/judge/prompt_tokens": 30,
        "writing_rl/judge/completion_tokens": 6,
        "writing_rl/judge/flip_rate": pytest.approx(1 / 3),
        "writing_rl/judge/disagreement_rate": 0,
        "writing_rl/judge/cached": 0,
        "writing_rl/judge/cost_usd": 0.75,
    }


def test_cached_and_thinking_tokens_are_told_where_there_are_any() -> None:
    answer = Answer("[[A]]", 10, 5, cost_usd=0.0, cached_tokens=8, thinking_tokens=4)
    call = Call("judge", Verdict.A, answer, Verdict.A)
    figures = Usage.total([Usage.of(Comparison(Outcome.WIN, calls=(call,)))] * 2).metrics()
    assert figures["writing_rl/judge/cached_tokens"] == 16
    assert figures["writing_rl/judge/thinking_tokens"] == 8


def test_an_answer_from_the_cache_costs_nothing_and_is_no_call() -> None:
    known = Call("judge", Verdict.A, Answer("[[A]]", 10, 2, cost_usd=0.0, cached=True), Verdict.A)
    figures = Usage.of(Comparison(Outcome.WIN, calls=(known,))).metrics()
    assert figures["writing_rl/judge/cached"] == 1
    assert figures["writing_rl/judge/calls"] == figures["writing_rl/judge/prompt_tokens"] == 0


def test_a_cost_that_is_not_known_is_no_figure() -> None:
    unpriced = Call("judge", Verdict.A, Answer("[[A]]", 10, 2), Verdict.A)
    usage = Usage.total([Usage.of(comparison(1.0)), Usage.of(Comparison(Outcome.WIN, calls=(unpriced,)))])
    assert usage.known_cost_usd is None
    assert "writing_rl/judge/cost_usd" not in usage.metrics()


def test_judges_that_differ_are_counted() -> None:
    votes = [(Outcome.WIN, Outcome.LOSS), (Outcome.WIN, Outcome.WIN), (Outcome.WIN, Outcome.UNSCORED)]
    parts = [Usage.of(Comparison(Outcome.WIN, vote)) for vote in votes]
    assert Usage.total(parts).metrics()["writing_rl/judge/disagreement_rate"] == pytest.approx(1 / 3)


def test_a_step_without_a_call_has_figures_too() -> None:
    assert set(Usage.total([]).metrics().values()) == {0.0}


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_the_smallest_value_that_enough_of_them_do_not_exceed(
    values: list[float], share: float
) -> None:
    ordered = sorted(values)
    found = quantile(ordered, share)
    assert sum(value <= found for value in ordered) >= share * len(ordered)
    assert sum(value < found for value in ordered) < share * len(ordered)
