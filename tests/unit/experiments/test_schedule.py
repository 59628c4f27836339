from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.experiments.benchmark.schedule import best_makespan

latencies = st.lists(st.floats(0, 100), max_size=30)


def test_a_schedule_by_hand() -> None:
    # Two places: 3 | 1 then 1 then 4 (from 2 to 6) | 2 (from 3 to 5).
    assert best_makespan([3, 1, 1, 4, 2], 2) == 6


@given(latencies)
def test_one_place_takes_them_one_after_the_other(times: list[float]) -> None:
    assert best_makespan(times, 1) == pytest.approx(sum(times))


@given(latencies)
def test_places_for_all_take_as_long_as_the_longest(times: list[float]) -> None:
    assert best_makespan(times, max(1, len(times))) == pytest.approx(max(times, default=0))
