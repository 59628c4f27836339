from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from writing_rl.judging.client.latency import FACTOR_OF_FEW, FEW, SHORTEST_S, WINDOW, LatencyTracker


def taught(latencies: list[float], longest_s: float = 120.0) -> LatencyTracker:
    tracker = LatencyTracker(longest_s)
    for latency in latencies:
        tracker.observe(latency)
    return tracker


@given(st.lists(st.floats(0, 1e4), max_size=300), st.integers(0, 60), st.floats(1, 1000))
def test_the_timeout_stays_between_what_makes_sense_and_what_was_set(
    latencies: list[float], given_up: int, longest_s: float
) -> None:
    tracker = taught(latencies, longest_s)
    assert min(SHORTEST_S, longest_s) <= tracker.timeout_s() <= tracker.timeout_s(given_up) <= longest_s


def test_without_an_answer_nothing_is_known() -> None:
    assert taught([]).timeout_s() == 120.0
    tracker = LatencyTracker(120.0)
    for _ in range(100):
        tracker.observe(30.0, slow=True)  # all of them hang
    assert tracker.timeout_s() == 120.0


def test_the_first_answers_count_by_the_slowest() -> None:
    assert taught([4.0]).timeout_s() == FACTOR_OF_FEW * 4.0
    assert taught([4.0] * 6 + [10.0]).timeout_s() == FACTOR_OF_FEW * 10.0
    assert taught([10.0] * FEW).timeout_s() == 20.0


def test_generation_learns_nothing() -> None:
    tracker = LatencyTracker(120.0, learns=False)
    for _ in range(100):
        tracker.observe(1.0)
    assert tracker.timeout_s() == 120.0


def test_a_question_that_was_given_up_twice_gets_twice_the_time() -> None:
    tracker = taught([10.0] * WINDOW)
    assert [tracker.timeout_s(given_up) for given_up in range(5)] == [20.0, 20.0, 40.0, 80.0, 120.0]


def test_few_answers_of_a_steady_judge_are_given_up() -> None:
    draw = random.Random(1)
    latencies = [draw.lognormvariate(2.0, 0.5) for _ in range(5000)]
    tracker = LatencyTracker(1000.0)
    cut = 0
    for latency in latencies:
        timeout_s = tracker.timeout_s()
        cut += latency > timeout_s
        tracker.observe(min(latency, timeout_s), slow=latency > timeout_s)
    assert cut < 0.01 * len(latencies)


def test_where_requests_hang_they_are_given_up_sooner() -> None:
    draw = random.Random(1)
    tracker = LatencyTracker(120.0)
    for _ in range(1000):
        if draw.random() < 0.05:
            tracker.observe(tracker.timeout_s(), slow=True)
        else:
            tracker.observe(draw.uniform(4.0, 6.0))
    assert 8.5 < tracker.timeout_s() < 9.5


def test_a_judge_that_becomes_slower_is_given_the_time_that_it_needs() -> None:
    tracker = taught([5.0] * WINDOW)
    cut = 0
    for _ in range(2 * WINDOW):
        if (timeout_s := tracker.timeout_s()) < 60.0:
            cut += 1
            tracker.observe(timeout_s, slow=True)
        else:
            tracker.observe(60.0)
    assert tracker.timeout_s() == 120.0
    assert cut < WINDOW / 2
