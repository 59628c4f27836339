from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.judging.verdict import Outcome, Rewards
from writing_rl.judging.vote import VoteRule, decide, disagree, reward_of

W, T, L, U = Outcome.WIN, Outcome.TIE, Outcome.LOSS, Outcome.UNSCORED
votes_of_scored = st.lists(st.sampled_from([W, T, L]), min_size=1, max_size=7)


@pytest.mark.parametrize(
    ("votes", "majority", "mean"),
    [
        ([W], W, W),
        ([W, W, L], W, W),
        ([W, L], T, T),
        ([W, T, L], T, T),
        ([W, T, T], T, W),
        ([W, W, L, L], T, T),
        ([T, T, L], T, L),
        ([W, W, U], W, W),
        ([W, L, U], T, T),
        ([W, U], U, U),
        ([W, U, U], U, U),
        ([U], U, U),
    ],
)
def test_what_judges_decide_together(votes: list[Outcome], majority: Outcome, mean: Outcome) -> None:
    assert decide(votes, VoteRule.MAJORITY) is majority
    assert decide(votes, VoteRule.MEAN) is mean


@given(votes_of_scored, st.randoms(use_true_random=False), st.sampled_from(VoteRule))
def test_the_order_of_the_judges_does_not_matter(votes: list[Outcome], random, rule: VoteRule) -> None:
    shuffled = random.sample(votes, len(votes))
    assert decide(shuffled, rule) is decide(votes, rule)
    assert reward_of(shuffled, rule, Rewards()) == pytest.approx(reward_of(votes, rule, Rewards()))


@given(votes_of_scored, st.sampled_from(VoteRule))
def test_changing_sides_changes_the_outcome(votes: list[Outcome], rule: VoteRule) -> None:
    other = {W: L, L: W, T: T}
    assert decide([other[vote] for vote in votes], rule) is other[decide(votes, rule)]


@given(votes_of_scored, st.sampled_from(VoteRule))
def test_a_reward_agrees_with_its_outcome(votes: list[Outcome], rule: VoteRule) -> None:
    reward = reward_of(votes, rule, Rewards())
    side = {W: reward > 0.5, L: reward < 0.5, T: reward == pytest.approx(0.5)}
    assert side[decide(votes, rule)]


def test_one_judge_decides_alone_whatever_the_rule() -> None:
    for rule in VoteRule:
        assert [reward_of([vote], rule, Rewards(1.1, 0.6, 0.1)) for vote in (W, T, L)] == [1.1, 0.6, 0.1]


@pytest.mark.parametrize("rule", VoteRule)
def test_no_decision_has_no_reward(rule: VoteRule) -> None:
    with pytest.raises(ValueError, match="no reward"):
        reward_of([W, U], rule, Rewards())


def test_only_those_who_voted_can_disagree() -> None:
    assert disagree([W, L])
    assert not disagree([W, W, U])
    assert not disagree([])
