"""How two texts are compared."""

from __future__ import annotations

from dataclasses import dataclass

from writing_rl.judging.verdict import Strategy
from writing_rl.judging.vote import VoteRule


@dataclass(frozen=True)
class Rules:
    """How two texts are compared.

    Attributes:
        strategy: In which order or orders a judge sees them.
        ask_again: How often an answer without a verdict is asked for one.
        deadline_s: Seconds that an order may take, without waiting for its turn.
        vote: What several judges decide together.
    """

    strategy: Strategy = Strategy.DISADVANTAGE
    ask_again: int = 1
    deadline_s: float = 300.0
    vote: VoteRule = VoteRule.MAJORITY
