from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.errors import BudgetSpent
from writing_rl.judging.client.budget import BURST_S, Bill, Limits, Meter


def admitted(meter: Meter, at_most: Bill, now: float) -> float:
    """When a request is let in that is asked for at a time and then as often as it is told to wait."""
    while (wait_s := meter.admit(at_most, now)) != 0.0:
        assert wait_s is not None
        assert wait_s > 0
        now += wait_s
    return now


@given(rate=st.floats(1, 6000), count=st.integers(1, 60))
def test_requests_keep_to_their_rate(rate: float, count: int) -> None:
    meter = Meter(Limits(requests_per_minute=rate), Bill(), now=100.0)
    now, times = 100.0, []
    for _ in range(count):
        now = admitted(meter, Bill(calls=1), now)
        times.append(now)
    # From any moment on: no more than the rate and one burst.
    for first, start in enumerate(times):
        for last in range(first, count):
            allowed = rate / 60 * (times[last] - start + BURST_S) + 1
            assert last - first + 1 <= allowed + 1e-6
    # And no slower than the rate.
    assert times[-1] - 100.0 <= (count - 1) * 60 / rate + 1e-6


@given(
    rate=st.floats(60, 1e6),
    requests=st.lists(st.tuples(st.integers(1, 4000), st.floats(0, 1)), min_size=1, max_size=40),
)
def test_tokens_keep_to_their_rate(rate: float, requests: list[tuple[int, float]]) -> None:
    meter = Meter(Limits(tokens_per_minute=rate), Bill(), now=0.0)
    now, used, most = 0.0, 0, 0
    for tokens, share in requests:
        at_most, took = Bill(1, tokens), Bill(1, int(tokens * share))
        now = admitted(meter, at_most, now)
        meter.settle(at_most, took)
        used, most = used + took.tokens, max(most, tokens)
    assert used <= rate / 60 * (now + BURST_S) + most + 1e-3


def test_what_a_request_did_not_use_is_there_for_the_next() -> None:
    meter = Meter(Limits(tokens_per_minute=6000), Bill(), now=0.0)
    for _ in range(30):
        assert meter.admit(Bill(1, 300), 0.0) == 0.0
        meter.settle(Bill(1, 300), Bill(1, 10))
    assert meter.admit(Bill(1, 600), 0.0) == pytest.approx(3.0)  # 300 tokens are gone, at 100 a second


def test_without_limits_everything_is_let_in_and_counted() -> None:
    meter = Meter(Limits(), Bill(5, 10, 10, 1.0), now=0.0)
    assert not Limits().any
    for _ in range(100):
        assert meter.admit(Bill(1, 100, 100, 9.0), 0.0) == 0.0
        meter.settle(Bill(1, 100, 100, 9.0), Bill(1, 3, 2, 0.5))
    assert meter.spent == Bill(105, 310, 210, 51.0)
    assert meter.spent.tokens == 520


def test_calls_of_earlier_starts_count() -> None:
    meter = Meter(Limits(max_calls=6), Bill(calls=5), now=0.0)
    assert meter.admit(Bill(calls=1), 0.0) == 0.0
    with pytest.raises(BudgetSpent, match="6 calls, max_calls is reached"):
        meter.admit(Bill(calls=1), 0.0)


def test_a_cost_is_waited_for_while_it_is_open_and_refused_when_it_is_not() -> None:
    meter = Meter(Limits(max_cost_usd=1.0), Bill(), now=0.0)
    dear = Bill(1, cost_usd=0.6)
    assert meter.admit(dear, 0.0) == 0.0
    assert meter.admit(dear, 0.0) is None
    meter.settle(dear, Bill(1, cost_usd=0.1))
    assert meter.admit(dear, 0.0) == 0.0
    meter.settle(dear, dear)
    with pytest.raises(
        BudgetSpent, match=r"0\.7000 of max_cost_usd=1 after 2 calls, and the next one may cost 0\.6"
    ):
        meter.admit(dear, 0.0)


def test_a_bill_beyond_its_reservation_is_counted_in_full_and_the_budget_stays_hard() -> None:
    meter = Meter(Limits(max_cost_usd=1.0, tokens_per_minute=6000), Bill(), now=0.0)
    at_most = Bill(1, 10, 10, 0.2)
    assert meter.admit(at_most, 0.0) == 0.0
    assert meter.admit(at_most, 0.0) == 0.0
    meter.settle(at_most, Bill(1, 10, 1_000, 0.9))  # thinking that no limit counted
    assert meter.spent_at_most.cost_usd == pytest.approx(1.1)
    assert meter.admit(at_most, 0.0) is None  # nothing new while the other one is open
    meter.settle(at_most, at_most)
    assert meter.spent == Bill(2, 20, 1_010, 1.1)
    with pytest.raises(BudgetSpent, match=r"1\.1000 of max_cost_usd=1 after 2 calls"):
        meter.admit(at_most, 0.0)
    with pytest.raises(BudgetSpent):
        meter.admit(Bill(1), 1e9)  # not even one that costs nothing
