from __future__ import annotations

import pytest

import writing_rl
from writing_rl.judging.compare import Comparison
from writing_rl.judging.reward import Reward
from writing_rl.judging.verdict import Outcome, Rewards
from writing_rl.judging.vote import VoteRule

REWARDS = Rewards(win=1.0, tie=0.4, loss=-0.2)
WON = Comparison(Outcome.WIN, (Outcome.WIN,), flipped=False)
KEYS = ["score", "outcome", "reason", "flipped", "reference_index"]


@pytest.mark.parametrize(
    ("comparison", "vote", "score"),
    [
        (WON, VoteRule.MAJORITY, 1.0),
        (Comparison(Outcome.LOSS, reason="no_answer"), VoteRule.MAJORITY, -0.2),
        (Comparison(Outcome.WIN, (Outcome.WIN, Outcome.WIN, Outcome.TIE)), VoteRule.MEAN, 0.8),
        (Comparison(Outcome.UNSCORED, reason="timeout"), VoteRule.MEAN, 0.0),
    ],
)
def test_a_comparison_is_worth_what_its_outcome_is(
    comparison: Comparison, vote: VoteRule, score: float
) -> None:
    reward = Reward.of(comparison, vote, REWARDS)
    assert reward.comparison is comparison
    assert reward.score == pytest.approx(score)
    assert list(reward.as_result(2)) == KEYS
    assert reward.as_result(2)["reference_index"] == 2.0


def test_an_own_function_keeps_its_score_and_what_it_adds() -> None:
    reward = Reward.of_result({"score": 0.25, "outcome": "win", "rhymes": 3}, None)
    assert reward.comparison == Comparison(Outcome.WIN)
    result = reward.as_result(1)
    assert (result["score"], result["outcome"], result["rhymes"]) == (0.25, "win", 3)


def test_an_own_function_that_compared_has_the_whole_comparison() -> None:
    assert Reward.of_result({"score": 0.25, "outcome": "win", "reason": ""}, WON).comparison is WON
    other = Reward.of_result({"score": 0.25, "outcome": "loss", "reason": "too_short"}, WON).comparison
    assert other == Comparison(Outcome.LOSS, reason="too_short")


@pytest.mark.parametrize(
    ("result", "error"),
    [({"score": 1.0}, KeyError), ({"outcome": "win"}, KeyError), ({"score": 1, "outcome": "x"}, ValueError)],
)
def test_an_own_function_must_say_score_and_outcome(
    result: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        Reward.of_result(result, None)


def test_the_package_shows_what_others_may_use() -> None:
    assert all(getattr(writing_rl, name) is not None for name in writing_rl.__all__)
    assert set(writing_rl._MODULES) == set(writing_rl.__all__) - {"__version__"}
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = writing_rl.nothing
