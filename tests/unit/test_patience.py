from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from writing_rl.judging.patience import LEAST, SHORTEST_S, WINDOW, Patience


def taught(latencies: list[float], longest_s: float = 120.0) -> Patience:
    patience = Patience(longest_s)
    for latency in latencies:
        patience.ended(latency)
    return patience


@given(st.lists(st.floats(0, 1e4), max_size=300), st.integers(0, 60), st.floats(1, 1000))
def test_it_is_never_longer_than_was_set_nor_shorter_than_makes_sense(
    latencies: list[float], given_up: int, longest_s: float
) -> None:
    patience = taught(latencies, longest_s)
    assert min(SHORTEST_S, longest_s) <= patience.usual_s() <= patience.limit_s(given_up) <= longest_s


def test_too_few_answers_teach_nothing() -> None:
    few, enough = taught([10.0] * (LEAST - 1)), taught([10.0] * LEAST)
    assert (few.limit_s(), few.usual_s()) == (120.0, 120.0)
    assert (enough.limit_s(), enough.usual_s()) == (20.0, 10.0)


def test_a_question_that_was_given_up_twice_gets_twice_the_time() -> None:
    patience = taught([10.0] * WINDOW)
    assert [patience.limit_s(given_up) for given_up in range(5)] == [20.0, 20.0, 40.0, 80.0, 120.0]


def test_few_answers_of_a_steady_judge_are_given_up() -> None:
    draw = random.Random(1)
    latencies = [draw.lognormvariate(2.0, 0.5) for _ in range(5000)]
    patience = Patience(1000.0)
    cut = 0
    for latency in latencies:
        limit_s = patience.limit_s()
        cut += latency > limit_s
        patience.ended(min(latency, limit_s), late=latency > limit_s)
    assert cut < 0.01 * len(latencies)


def test_where_requests_hang_they_are_given_up_sooner() -> None:
    draw = random.Random(1)
    patience = Patience(120.0)
    for _ in range(1000):
        if draw.random() < 0.05:
            patience.ended(patience.limit_s(), late=True)
        else:
            patience.ended(draw.uniform(4.0, 6.0))
    assert 8.5 < patience.limit_s() < 9.5


def test_a_judge_that_becomes_slower_is_given_the_time_that_it_needs() -> None:
    patience = taught([5.0] * WINDOW)
    cut = 0
    for _ in range(2 * WINDOW):
        if (limit_s := patience.limit_s()) < 60.0:
            cut += 1
            patience.ended(limit_s, late=True)
        else:
            patience.ended(60.0)
    assert patience.limit_s() == 120.0
    assert cut < WINDOW / 2
