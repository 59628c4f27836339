"""What a comparison is worth, and how verl's reward functions say so. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from writing_rl.judging.compare import Comparison
from writing_rl.judging.verdict import Outcome, Rewards
from writing_rl.judging.vote import VoteRule, reward_of


@dataclass(frozen=True)
class Reward:
    """A comparison with what it is worth.

    Attributes:
        comparison: The comparison.
        score: Its reward; 0.0 where it is unscored, which never reaches the optimizer.
        extra: What a reward function of the user's own says besides.
    """

    comparison: Comparison
    score: float = 0.0
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, comparison: Comparison, vote: VoteRule, rewards: Rewards) -> Reward:
        """The reward of a comparison.

        Args:
            comparison: With or without a verdict.
            vote: What several judges decide together.
            rewards: What each outcome is worth.
        """
        if comparison.outcome is Outcome.UNSCORED:
            return cls(comparison)
        return cls(comparison, reward_of(comparison.votes or (comparison.outcome,), vote, rewards))

    @classmethod
    def unscored(cls, reason: str, detail: str = "") -> Reward:
        """That of a text about which nothing is known, for a reason."""
        return cls(Comparison(Outcome.UNSCORED, reason=reason, detail=detail))

    @classmethod
    def of_result(cls, result: Mapping[str, Any], compared: Comparison | None) -> Reward:
        """What a reward function of the user's own returned.

        Args:
            result: `score`, `outcome` and perhaps `reason`; the rest is reported as it is.
            compared: The comparison that the function asked for, if it did; it tells more than the result.

        Raises:
            KeyError: `score` or `outcome` is missing.
            ValueError: The outcome is none.
        """
        outcome, reason = Outcome(result["outcome"]), str(result.get("reason", ""))
        known = compared is not None and (compared.outcome, compared.reason) == (outcome, reason)
        comparison = compared if compared is not None and known else Comparison(outcome, reason=reason)
        extra = {name: value for name, value in result.items() if name not in ("score", "outcome", "reason")}
        return cls(comparison, float(result["score"]), extra)

    def as_result(self, reference_index: int) -> dict[str, Any]:
        """The result of a reward function of verl: for each rollout the same keys.

        Args:
            reference_index: Which reference the text was compared with.
        """
        return {
            "score": self.score,
            "outcome": self.comparison.outcome.value,
            "reason": self.comparison.reason,
            "flipped": float(self.comparison.flipped),
            "reference_index": float(reference_index),
            **self.extra,
        }
