"""The curriculum of one run in memory: every sample's reference, and the outcomes of the steps under way.

No Ray, no files, no clock: `owner` puts this behind an actor and writes what it commits.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from writing_rl.curriculum.rules import Kind, Promotion, Standing, scheduled_index
from writing_rl.judging.verdict import Outcome


class Move(NamedTuple):
    """A sample's change of reference.

    Attributes:
        key: The sample.
        before: The index of its reference before.
        after: The index after.
        why: `won`, `lost`, `schedule` or `restored`.
    """

    key: str
    before: int
    after: int
    why: str


@dataclass(frozen=True)
class StepReport:
    """What one step did to the curriculum.

    Attributes:
        step: The training step.
        outcomes: Number of rollouts by outcome.
        moves: The samples that moved.
        mean_index: Mean reference index over all samples, after the step.
        last: Share of samples whose reference is their last, after the step.
        finished: Share of samples that have beaten their last reference.
    """

    step: int
    outcomes: Mapping[Outcome, int]
    moves: Sequence[Move]
    mean_index: float
    last: float
    finished: float

    def metrics(self) -> dict[str, float]:
        """The step's figures under the names of the README's table "Logged metrics"."""
        rollouts = sum(self.outcomes.values())
        rates = {
            f"writing_rl/{outcome.value}_rate": self.outcomes.get(outcome, 0) / rollouts if rollouts else 0.0
            for outcome in Outcome
        }
        up = sum(move.after > move.before for move in self.moves)
        return {
            **rates,
            "writing_rl/reference_index/mean": self.mean_index,
            "writing_rl/reference_index/last_share": self.last,
            "writing_rl/reference_index/finished_share": self.finished,
            "writing_rl/promotions": float(up),
            "writing_rl/demotions": float(len(self.moves) - up),
        }


@dataclass(frozen=True)
class Saved:
    """A curriculum as a checkpoint keeps it; what is at its beginning is left out.

    Attributes:
        indexes: The index of each sample's reference, by key.
        streaks: Steps won (positive) or lost in a row, by key.
        finished: The samples that have beaten their last reference.
    """

    indexes: Mapping[str, int]
    streaks: Mapping[str, int] = field(default_factory=dict)
    finished: Sequence[str] = ()


class Curriculum:
    """Which reference every sample meets.

    A sample's index changes in `commit` only, so all rollouts of a step meet the same reference, whichever
    worker judges them and whenever.

    Attributes:
        indexes: The index of each sample's current reference, by key.
        total_steps: Steps of the whole training, for a static curriculum; to be set before it begins.
    """

    def __init__(
        self,
        references: Mapping[str, int],
        indexes: Mapping[str, int],
        promotion: Promotion = Promotion(),
    ) -> None:
        """Begins at the given indexes.

        Args:
            references: How many references each sample has, by key.
            indexes: The index of each sample's current reference, by key.
            promotion: When a sample moves.
        """
        self.total_steps = 0
        self.indexes = {key: indexes[key] for key in references}
        self._references = references
        self._promotion = promotion
        self._streaks: dict[str, int] = {}  # those that are not 0
        self._finished: set[str] = set()
        self._outcomes: dict[int, dict[str, dict[str, Outcome]]] = defaultdict(dict)
        self._sum = sum(self.indexes.values())
        self._last = sum(self._is_last(key) for key in self.indexes)

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
        """Ends a step: moves the samples that it moves, and forgets its outcomes.

        Outcomes of earlier steps that were never committed are forgotten too.

        Args:
            step: The step whose sampling has ended.
        """
        groups = self._outcomes.pop(step, {})
        for stale in [other for other in self._outcomes if other < step]:
            del self._outcomes[stale]
        moves: list[Move] = []
        if self._promotion.kind is Kind.DYNAMIC:
            moves = [move for key, rollouts in groups.items() if (move := self._judged(key, rollouts))]
        elif self._promotion.kind is Kind.STATIC:
            moves = self._scheduled(step)
        return StepReport(
            step=step,
            outcomes=Counter(outcome for rollouts in groups.values() for outcome in rollouts.values()),
            moves=moves,
            mean_index=self._sum / len(self.indexes),
            last=self._last / len(self.indexes),
            finished=len(self._finished) / len(self.indexes),
        )

    def save(self) -> Saved:
        """The state that a checkpoint keeps."""
        return Saved(dict(self.indexes), dict(self._streaks), sorted(self._finished))

    def restore(self, saved: Saved) -> list[Move]:
        """Takes another state over, such as a checkpoint's; returns the samples that this moves.

        Samples that it lacks keep theirs; a sample that has fewer references today gets its last one.
        """
        moves = []
        for key, index in saved.indexes.items():
            if key in self._references:
                after = min(index, self._references[key] - 1)
                if after != self.indexes[key]:
                    moves.append(self._move(key, after, "restored"))
        self._streaks = {key: streak for key, streak in saved.streaks.items() if key in self._references}
        self._finished = {key for key in saved.finished if key in self._references}
        self._outcomes.clear()
        return moves

    def _judged(self, key: str, rollouts: Mapping[str, Outcome]) -> Move | None:
        """Moves a sample as its rollouts have it."""
        before = Standing(self.indexes[key], self._streaks.get(key, 0), key in self._finished)
        after = self._promotion.after(before, self._references[key], list(rollouts.values()))
        self._streaks.pop(key, None)
        if after.streak:
            self._streaks[key] = after.streak
        (self._finished.add if after.finished else self._finished.discard)(key)
        if after.index == before.index:
            return None
        return self._move(key, after.index, "won" if after.index > before.index else "lost")

    def _scheduled(self, step: int) -> list[Move]:
        """Moves all samples to where they are to be in the next step."""
        done = step / self.total_steps if self.total_steps else 0.0
        places = {key: scheduled_index(done, references) for key, references in self._references.items()}
        return [
            self._move(key, place, "schedule") for key, place in places.items() if place != self.indexes[key]
        ]

    def _move(self, key: str, after: int, why: str) -> Move:
        move = Move(key, self.indexes[key], after, why)
        self._last -= self._is_last(key)
        self._sum += after - move.before
        self.indexes[key] = after
        self._last += self._is_last(key)
        return move

    def _is_last(self, key: str) -> bool:
        return self.indexes[key] == self._references[key] - 1
