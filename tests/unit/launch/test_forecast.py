from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.launch.forecast import JudgeMeasured, Measured, Plan, Rehearsed, forecast, times

PLAN = Plan(
    steps=100,
    texts=64,
    test_texts=32,
    validations=3,
    saves=4,
    kept=2,
    save_freq=25,
    requests=2,
    parallel=32,
    full_tokens=1000,
    reference_tokens=500.0,
)


def step(tokens: float, rollout: float, update: float = 10.0, save: float = 0.0) -> Measured:
    seconds = {"rollout": rollout, "update": update, "save": save, "step": rollout + update}
    return Measured(tokens, seconds)


#: A second of writing for 10 tokens; the first step of a start takes 5 s more.
STEPS = Rehearsed(
    full=step(1000, 105.0, save=8.0), first=step(200, 25.0), warm=step(200, 20.0, save=8.0), start_s=60.0
)
JUDGE = JudgeMeasured(
    seconds=2.0, prompt_tokens=1600, completion_tokens=400, text_tokens=500, input_usd=1e-6, output_usd=4e-6
)


@pytest.mark.parametrize(
    ("steps", "every", "expected"),
    [(36, 50, 1), (100, 50, 2), (101, 50, 3), (405, 50, 9), (5, 1, 5), (5, -1, 0), (1, 1, 1)],
)
def test_what_is_done_every_so_often_is_also_done_at_the_last_step(
    steps: int, every: int, expected: int
) -> None:
    assert times(steps, every) == expected


def test_each_text_of_training_and_validation_is_asked_about_once_for_each_order_and_judge() -> None:
    assert PLAN.calls == (100 * 64 + 3 * 32) * 2


def test_a_warm_step_is_extended_by_what_tokens_cost_in_the_first_ones() -> None:
    assert STEPS.at("rollout", 200) == 20.0
    assert STEPS.at("rollout", 1000) == 100.0
    assert STEPS.at("rollout", 500) == 50.0
    assert STEPS.at("update", 1000) == 10.0


def test_texts_that_came_at_full_length_are_scaled() -> None:
    steps = Rehearsed(step(1000, 105.0), step(995, 105.0), step(990, 99.0), 60.0)
    assert steps.at("rollout", 495) == pytest.approx(49.5)


def test_a_run_is_its_start_its_steps_its_checkpoints_and_its_validations() -> None:
    whole = forecast(PLAN, STEPS, 500, judge=None)
    assert whole.step_s == 60.0
    assert whole.hours * 3600 == pytest.approx(60 + 5 + 100 * 60 + 4 * 8 + 3 * 50)
    assert whole.usd == 0.0
    assert whole.judge_tokens == 0.0


def test_a_crash_loses_the_steps_since_the_last_checkpoint_and_a_start() -> None:
    whole = forecast(PLAN, STEPS, 500, JUDGE)
    assert whole.crash_hours * 3600 == pytest.approx(25 * whole.step_s + 65)
    assert whole.crash_usd == pytest.approx(25 * 64 * 2 * (1600e-6 + 400 * 4e-6))


def test_the_judge_reads_two_texts_as_long_as_the_texts() -> None:
    short, long = (forecast(PLAN, STEPS, tokens, JUDGE) for tokens in (500, 1000))
    assert short.judge_tokens == PLAN.calls * (1600 + 400)
    assert long.judge_tokens == PLAN.calls * (1600 + 2 * 500 + 400)
    assert short.usd == pytest.approx(PLAN.calls * (1600e-6 + 400 * 4e-6))


def test_a_judge_that_keeps_up_adds_one_answer_and_a_slow_one_its_queue() -> None:
    quick = forecast(PLAN, STEPS, 500, JUDGE)
    assert quick.step_s == 60.0 + 2.0
    slow = JudgeMeasured(40.0, 1600, 400, 500, None, None)
    # 128 requests of 40 s, 32 at a time, while texts are written for 50 s.
    assert forecast(PLAN, STEPS, 500, slow).step_s == pytest.approx(60 + 160 - 50 + 40)


def test_an_unknown_price_is_not_made_up() -> None:
    unknown = JudgeMeasured(2.0, 1600, 400, 500, None, None)
    whole = forecast(PLAN, STEPS, 500, unknown)
    assert whole.usd is None
    assert whole.crash_usd is None
    assert whole.judge_tokens > 0


@given(
    st.floats(1, 1000),
    st.floats(1, 500),
    st.floats(0, 100),
    st.floats(0.1, 100),
)
def test_longer_texts_never_take_less(tokens: float, more: float, full: float, warm: float) -> None:
    steps = Rehearsed(step(1000, full), step(300, warm), step(310, warm), 10.0)
    assert steps.at("rollout", tokens + more) >= steps.at("rollout", tokens) >= 0
