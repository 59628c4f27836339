"""When a sample is promoted to its next reference, and what validation compares with. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

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


def promote(index: int, references: int, outcomes: Sequence[Outcome], rule: GroupRule) -> int:
    """The index of a sample's reference after a step.

    Args:
        index: The current index, 0 to `references` - 1.
        references: How many references the sample has.
        outcomes: The outcomes of the step's group.
        rule: How they decide together.

    Returns:
        `index`, or `index` + 1 where the group wins and a harder reference is left.
    """
    return min(index + group_wins(outcomes, rule), references - 1)


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
