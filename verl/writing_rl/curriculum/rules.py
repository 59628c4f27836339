"""When a sample is promoted to its next reference, and what validation compares with. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass

from writing_rl.errors import SettingError
from writing_rl.judging.verdict import Outcome


class GroupRule(str, Enum):
    """How the scored rollouts of one prompt in one step decide together. With one rollout all three agree."""

    MAJORITY = "majority"
    ANY = "any"
    ALL = "all"


def group_wins(outcomes: Sequence[Outcome], rule: GroupRule) -> bool:
    """Says whether a group of rollouts beats its reference.

    Args:
        outcomes: The outcomes of the group; unscored ones count neither way.
        rule: How they decide together.

    Returns:
        Whether the group wins. A group without a scored rollout does not.
    """
    scored = [outcome for outcome in outcomes if outcome is not Outcome.UNSCORED]
    wins = sum(outcome is Outcome.WIN for outcome in scored)
    if not scored:
        return False
    if rule is GroupRule.ANY:
        return wins > 0
    if rule is GroupRule.ALL:
        return wins == len(scored)
    return 2 * wins > len(scored)


def group_loses(outcomes: Sequence[Outcome], rule: GroupRule) -> bool:
    """Says whether the reference beats a group of rollouts, by the same rule. None that wins loses."""
    swapped = {Outcome.WIN: Outcome.LOSS, Outcome.LOSS: Outcome.WIN}
    return not group_wins(outcomes, rule) and group_wins(
        [swapped.get(outcome, outcome) for outcome in outcomes], rule
    )


class Kind(str, Enum):
    """How references change in the course of a training: the paper's ablation of the scheduling."""

    DYNAMIC = "dynamic"  # each sample moves on when the policy beats its reference
    STATIC = "static"  # all samples move on together, as training proceeds
    FIXED = "fixed"  # no sample ever moves


class Existing(str, Enum):
    """What becomes of an index file whose samples have moved on, when the model starts from scratch."""

    ASK = "ask"  # resume_mode=disable ends the start with an error; otherwise the journal says where it began
    KEEP = "keep"  # the new model meets the references that the old one has come to
    RESET = "reset"  # all samples start over


@dataclass(frozen=True)
class Standing:
    """Where a sample stands in a dynamic curriculum.

    Attributes:
        index: The index of its current reference.
        streak: How many steps in a row it has won, or, negative, lost, since it came there.
        finished: Whether it has beaten its last reference.
    """

    index: int
    streak: int = 0
    finished: bool = False


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Promotion:
    """When a sample moves."""

    kind: Annotated[
        Kind,
        Field(
            description="`dynamic`: a sample moves on when the policy beats its reference; `static`: all "
            "samples move on together, as training proceeds; `fixed`: none moves. The rest is for `dynamic`"
        ),
    ] = Kind.DYNAMIC
    group_rule: Annotated[
        GroupRule,
        Field(description="how a group of n rollouts wins its step: `majority`, `any` or `all`"),
    ] = GroupRule.MAJORITY
    wins_to_promote: Annotated[int, Field(ge=1, description="steps won in a row to move up")] = 1
    losses_to_demote: Annotated[
        int | None, Field(ge=1, description="steps lost in a row to move down; null: nothing moves down")
    ] = None

    def after(self, standing: Standing, references: int, outcomes: Sequence[Outcome]) -> Standing:
        """Where a sample stands after a step of a dynamic curriculum.

        Args:
            standing: Where it stood.
            references: How many references it has.
            outcomes: The outcomes of the step's group. Without a scored one nothing changes.

        Returns:
            The new standing; its index differs by at most one.
        """
        if all(outcome is Outcome.UNSCORED for outcome in outcomes):
            return standing
        index, streak, finished = standing.index, standing.streak, standing.finished
        if group_wins(outcomes, self.group_rule):
            streak = max(streak, 0) + 1
            if streak < self.wins_to_promote:
                return Standing(index, streak, finished)
            if index == references - 1:
                return Standing(index, 0, True)
            return Standing(index + 1)
        if not group_loses(outcomes, self.group_rule):
            return Standing(index, 0, finished)
        streak = min(streak, 0) - 1
        if self.losses_to_demote is None or -streak < self.losses_to_demote or index == 0:
            return Standing(index, streak, finished)
        return Standing(index - 1)


def scheduled_index(done: float, references: int) -> int:
    """The index of a static curriculum: each of a sample's references has the same share of the training.

    Args:
        done: The share of the training that is done, from 0 to 1.
        references: How many references the sample has.
    """
    return min(int(done * references), references - 1)


def parse_validation_reference(value: str | int) -> str | int:
    """Checks the setting that fixes validation's reference.

    Raises:
        SettingError: It is neither first, middle, last nor a number from 0.
    """
    if str(value) in ("first", "middle", "last"):
        return str(value)
    if str(value).isascii() and str(value).isdigit():
        return int(value)
    raise SettingError(
        f"writing_rl.curriculum.validation_reference is {value!r}: "
        "choose first, middle, last or a number from 0"
    )


def validation_index(setting: str | int, references: int) -> int:
    """The index of the reference that validation compares with; a number past the last means the last."""
    if isinstance(setting, int):
        return min(setting, references - 1)
    return {"first": 0, "middle": (references - 1) // 2, "last": references - 1}[setting]
