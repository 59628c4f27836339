"""What training had to learn from: GRPO learns nothing from a group whose rollouts all have one reward."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from writing_rl.judging.verdict import Outcome, Rewards

#: A training is looked at in so many parts of the same length.
PARTS = 3


@dataclass(frozen=True)
class Part:
    """Some steps in a row.

    Attributes:
        informative: Share of the groups whose rollouts do not all have the same reward.
        reward: Mean reward.
        reference: Mean index of the reference that was met.
    """

    informative: float
    reward: float
    reference: float


def parts_of(comparisons: Iterable[Mapping[str, Any]], steps: int) -> list[Part]:
    """Looks at the groups of a training.

    Args:
        comparisons: Lines of its transcript; those of validation do not count, nor those of steps that a
            later start has taken again.
        steps: Its number of steps.

    Returns:
        One entry for each of `PARTS`; nothing where a group has one rollout, as in PPO.
    """
    groups: dict[tuple[int, str], list[float]] = defaultdict(list)
    references: dict[tuple[int, str], int] = {}
    rewards, last = Rewards(), 0
    for line in comparisons:
        outcome, step = Outcome(line["outcome"]), line["step"]
        if not line["training"] or outcome is Outcome.UNSCORED:
            continue
        if step < last:
            for key in [key for key in groups if key[0] >= step]:
                del groups[key]
        last = step
        group = step, line["rollout"].rpartition("_")[0]
        groups[group].append(rewards.of(outcome))
        references[group] = line["reference_index"]
    if not groups or max(map(len, groups.values())) == 1:
        return []
    parts = []
    for number in range(PARTS):
        keys = [key for key in groups if (key[0] - 1) * PARTS // steps == number]
        if not keys:
            return []
        parts.append(
            Part(
                informative=sum(len(set(groups[key])) > 1 for key in keys) / len(keys),
                reward=sum(sum(groups[key]) / len(groups[key]) for key in keys) / len(keys),
                reference=sum(references[key] for key in keys) / len(keys),
            )
        )
    return parts


def mean_of(trainings: Iterable[list[Part]]) -> list[Part]:
    """The mean over trainings, part by part."""
    return [
        Part(
            *(
                sum(getattr(part, name) for part in together) / len(together)
                for name in ("informative", "reward", "reference")
            )
        )
        for together in zip(*trainings, strict=True)
    ]
