"""Several judges of one comparison: what they decide together. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import Enum

from writing_rl.judging.verdict import Outcome, Rewards


class VoteRule(str, Enum):
    """How the outcomes of several judges become one; with one judge both are its outcome."""

    MAJORITY = "majority"  # what more than half of them say; a tie where nothing is
    MEAN = "mean"  # the mean of their rewards; the outcome is the side of a tie that it lies on


#: What an outcome counts when outcomes are averaged, whatever the rewards are set to.
_WORTH = {Outcome.WIN: 1, Outcome.TIE: 0, Outcome.LOSS: -1}


def decide(votes: Sequence[Outcome], rule: VoteRule) -> Outcome:
    """The outcome that several judges give together.

    Args:
        votes: The outcome by each judge. An unscored one is no vote.
        rule: How they count.

    Returns:
        The outcome; `UNSCORED` where not more than half of the judges gave one: what is left of them would
        not be the judge that was asked for.
    """
    scored = [vote for vote in votes if vote is not Outcome.UNSCORED]
    if 2 * len(scored) <= len(votes):
        return Outcome.UNSCORED
    if rule is VoteRule.MEAN:
        balance = sum(_WORTH[vote] for vote in scored)
        return Outcome.WIN if balance > 0 else Outcome.LOSS if balance < 0 else Outcome.TIE
    (vote, count), *_ = Counter(scored).most_common(1)
    return vote if 2 * count > len(scored) else Outcome.TIE


def reward_of(votes: Sequence[Outcome], rule: VoteRule, rewards: Rewards) -> float:
    """The reward that goes with `decide`.

    Raises:
        ValueError: They decide nothing: there is no reward.
    """
    outcome = decide(votes, rule)
    if rule is VoteRule.MAJORITY or outcome is Outcome.UNSCORED:
        return rewards.of(outcome)
    scored = [rewards.of(vote) for vote in votes if vote is not Outcome.UNSCORED]
    return sum(scored) / len(scored)


def disagree(votes: Sequence[Outcome]) -> bool:
    """Whether judges that gave an outcome gave different ones."""
    return len({vote for vote in votes if vote is not Outcome.UNSCORED}) > 1
