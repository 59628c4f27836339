"""The curriculum of one run in memory: every sample's reference, and the outcomes of the steps under way.

No Ray, no files, no clock: `owner` puts this behind an actor and writes what it commits.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from writing_rl.curriculum.rules import GroupRule, promote
from writing_rl.judging.verdict import Outcome


@dataclass(frozen=True)
class StepReport:
    """What one step did to the curriculum.

    Attributes:
        step: The training step.
        outcomes: Number of rollouts by outcome.
        promotions: Key to new index, of each sample that moved.
        mean_index: Mean reference index over all samples, after the step.
        finished: Share of samples whose reference is their last, after the step.
    """

    step: int
    outcomes: Mapping[Outcome, int]
    promotions: Mapping[str, int]
    mean_index: float
    finished: float

    def metrics(self) -> dict[str, float]:
        """The step's figures under the names of the README's table "Logged metrics"."""
        rollouts = sum(self.outcomes.values())
        rates = {
            f"writing_rl/{outcome.value}_rate": self.outcomes.get(outcome, 0) / rollouts if rollouts else 0.0
            for outcome in Outcome
        }
        return {
            **rates,
            "writing_rl/reference_index/mean": self.mean_index,
            "writing_rl/reference_index/finished_share": self.finished,
            "writing_rl/promotions": float(len(self.promotions)),
        }


@dataclass
class Curriculum:
    """Which reference every sample meets.

    A sample's index changes in `commit` only, so all rollouts of a step meet the same reference, whichever
    worker judges them and whenever.

    Attributes:
        references: How many references each sample has, by key.
        indexes: The index of each sample's current reference, by key.
        rule: How a group of rollouts decides.
    """

    references: Mapping[str, int]
    indexes: dict[str, int]
    rule: GroupRule
    _outcomes: dict[int, dict[str, dict[str, Outcome]]] = field(default_factory=lambda: defaultdict(dict))

    def current(self, key: str) -> int:
        """The index of a sample's current reference.

        Raises:
            KeyError: There is no such sample.
        """
        return self.indexes[key]

    def record(self, step: int, key: str, rollout: str, outcome: Outcome) -> bool:
        """Notes the outcome of one rollout; telling it twice changes nothing.

        Args:
            step: The training step that the rollout belongs to.
            key: The sample's key.
            rollout: A name of the rollout that is unique in its step.
            outcome: Its outcome.

        Returns:
            Whether it was not told before.
        """
        outcomes = self._outcomes[step].setdefault(key, {})
        new = rollout not in outcomes
        outcomes[rollout] = outcome
        return new

    def commit(self, step: int) -> StepReport:
        """Ends a step: promotes what its outcomes promote, and forgets them.

        Outcomes of earlier steps that were never committed are forgotten too.

        Args:
            step: The step whose sampling has ended.
        """
        groups = self._outcomes.pop(step, {})
        for stale in [other for other in self._outcomes if other < step]:
            del self._outcomes[stale]
        promotions = {}
        for key, rollouts in groups.items():
            index = promote(self.indexes[key], self.references[key], list(rollouts.values()), self.rule)
            if index != self.indexes[key]:
                promotions[key] = self.indexes[key] = index
        return StepReport(
            step=step,
            outcomes=Counter(outcome for rollouts in groups.values() for outcome in rollouts.values()),
            promotions=promotions,
            mean_index=sum(self.indexes.values()) / len(self.indexes),
            finished=sum(index == self.references[key] - 1 for key, index in self.indexes.items())
            / len(self.indexes),
        )

    def restore(self, indexes: Mapping[str, int]) -> None:
        """Takes another state over, such as a checkpoint's.

        Samples that it lacks keep theirs; a sample that has fewer references today gets its last one.
        """
        for key, index in indexes.items():
            if key in self.references:
                self.indexes[key] = min(index, self.references[key] - 1)
        self._outcomes.clear()
