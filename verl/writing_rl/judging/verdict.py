"""Reading a verdict from a judge's text, and what it means for the policy. Pure functions."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from pydantic import ConfigDict, Field, FiniteFloat
from pydantic.dataclasses import dataclass as checked_dataclass

from writing_rl.text.brackets import VERDICT, last_lines


class Verdict(str, Enum):
    """Which of the two answers the judge prefers."""

    A = "A"
    B = "B"
    TIE = "C"


class Outcome(str, Enum):
    """What a comparison means for the policy's text."""

    WIN = "win"
    TIE = "tie"
    LOSS = "loss"
    UNSCORED = "unscored"


class Strategy(str, Enum):
    """Where the policy's text stands in the comparison (judges favour a position)."""

    DISADVANTAGE = "position-disadvantage"  # the reference first: the original's default
    ADVANTAGE = "position-advantage"  # the policy first
    BOTH = "position-both"  # both orders; they must agree

    @property
    def policy_slots(self) -> tuple[Verdict, ...]:
        """The slot of the policy's text in each comparison that this strategy makes."""
        return {
            Strategy.DISADVANTAGE: (Verdict.B,),
            Strategy.ADVANTAGE: (Verdict.A,),
            Strategy.BOTH: (Verdict.B, Verdict.A),
        }[self]


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Rewards:
    """The reward of each outcome (paper, section 3: 1, 0.5 and 0)."""

    win: Annotated[FiniteFloat, Field(description="reward of a win")] = 1.0
    tie: Annotated[FiniteFloat, Field(description="reward of a tie")] = 0.5
    loss: Annotated[FiniteFloat, Field(description="reward of a loss")] = 0.0

    def of(self, outcome: Outcome) -> float:
        """The reward of a scored outcome.

        Raises:
            ValueError: The outcome is `UNSCORED`, which has no reward.
        """
        if outcome is Outcome.UNSCORED:
            raise ValueError("an unscored comparison has no reward")
        return {Outcome.WIN: self.win, Outcome.TIE: self.tie, Outcome.LOSS: self.loss}[outcome]


def parse_verdict(text: str) -> Verdict | None:
    """Takes the verdict from the last line that holds a `[[A]]`, `[[B]]` or `[[C]]` outside of thinking.

    The last line decides because judges quote the format before they use it. Different tokens in that line
    are no verdict, and neither is prose: "Assistant B is clearly better." names letters but decides
    nothing. See `brackets` for the forms of a token.

    Args:
        text: The judge's whole answer.

    Returns:
        The verdict, or None where the text holds none.
    """
    for line in last_lines(text):
        tokens = set(VERDICT.findall(line))
        if tokens:
            return Verdict(tokens.pop()) if len(tokens) == 1 else None
    return None


def outcome_of(verdict: Verdict, policy_slot: Verdict) -> Outcome:
    """Turns a verdict into the policy's outcome.

    Args:
        verdict: The judge's verdict.
        policy_slot: Where the policy's text stood, `Verdict.A` or `Verdict.B`.
    """
    if verdict is Verdict.TIE:
        return Outcome.TIE
    return Outcome.WIN if verdict is policy_slot else Outcome.LOSS


def combine(outcomes: list[Outcome]) -> Outcome:
    """Joins the outcomes of one pair in several orders: they stand where they agree, else they are a tie."""
    return outcomes[0] if len(set(outcomes)) == 1 else Outcome.TIE
