"""What is asked of a judge that is good enough to train with; `good_enough` says why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Requirements:
    """What is asked of a judge.

    Attributes:
        accuracy: Least accuracy without ties.
        bias: Largest position bias, in either direction.
        flips: Largest flip rate.
        unscored: Largest share without a verdict.
        prompts: Least number of different prompts.
    """

    accuracy: float = 0.65
    bias: float = 0.2
    flips: float = 0.4
    unscored: float = 0.05
    prompts: int = 50
