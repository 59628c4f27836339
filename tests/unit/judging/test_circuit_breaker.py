from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from writing_rl.judging.circuit_breaker import Breaker
from writing_rl.judging.compare import Comparison
from writing_rl.judging.verdict import Outcome

SCORED = [outcome for outcome in Outcome if outcome is not Outcome.UNSCORED]


def unscored(reason: str = "http_429", detail: str = "slow down") -> Comparison:
    return Comparison(Outcome.UNSCORED, reason=reason, detail=detail)


@given(st.lists(st.sampled_from(Outcome), max_size=60), st.floats(0, 1), st.integers(1, 10))
def test_it_trips_when_a_full_window_holds_too_many(
    outcomes: list[Outcome], share: float, window: int
) -> None:
    breaker = Breaker(share, window)
    expected = False
    for number, outcome in enumerate(outcomes):
        breaker.note(unscored() if outcome is Outcome.UNSCORED else Comparison(outcome))
        recent = outcomes[max(0, number + 1 - window) : number + 1]
        full = len(recent) == window
        expected |= full and recent.count(Outcome.UNSCORED) > share * window
        assert (breaker.cause is not None) == expected


def test_its_cause_names_the_commonest_reason_and_the_last_message() -> None:
    breaker = Breaker(0.5, 4)
    for comparison in (
        unscored("timeout", "first"),
        Comparison(Outcome.LOSS, reason="no_answer"),
        unscored("timeout", "second"),
        unscored("no_verdict", "the answer ends in 'maybe'"),
    ):
        breaker.note(comparison)
    assert breaker.cause == (
        "3 of the last 4 comparisons got no verdict, most of them for timeout "
        "(the last message: the answer ends in 'maybe')"
    )


def test_the_first_cause_stands() -> None:
    breaker = Breaker(0.5, 1)
    breaker.trip("the judge refuses the key")
    breaker.note(unscored())
    assert breaker.cause == "the judge refuses the key"


def test_a_share_of_one_never_trips() -> None:
    breaker = Breaker(1.0, 2)
    for _ in range(10):
        breaker.note(unscored())
    assert breaker.cause is None
