from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.judging.compare import Call, Comparison
from writing_rl.judging.judge import Answer
from writing_rl.judging.usage import Usage, quantile
from writing_rl.judging.verdict import Outcome, Verdict


def comparison(*latencies: float, flipped: bool = False) -> Comparison:
    calls = tuple(Call(Verdict.A, Answer("[[A]]", 10, 2, latency), Verdict.A) for latency in latencies)
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
    }


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
