"""The curriculum of one run in memory: every sample's reference, and the outcomes of the steps under way.

No Ray, no files, no clock: `owner` puts this behind an actor and writes what it commits.
"""

from __future__ import annotations

import operator
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from writing_rl.curriculum.rules import Kind, Promotion, Standing, scheduled_index
from writing_rl.judging.verdict import Outcome

#: Quantiles of the reference index that are metrics, in percent.
QUANTILES = (10, 50, 90)


class Move(NamedTuple):
    """A sample's change of reference.

    Attributes:
        key: The sample.
        before: The index of its reference before.
        after: The index after.
        why: `won`, `lost`, `schedule`, `manual` (a person changed it) or `restored` (from a checkpoint).
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
        outcomes_at: The same by index of the reference that they met.
        moves: The samples that moved.
        samples_at: Number of samples by index of their reference, after the step.
        last: Share of samples whose reference is their last, after the step.
        finished: Share of samples that have beaten their last reference.
    """

    step: int
    outcomes: Mapping[Outcome, int]
    outcomes_at: Mapping[int, Mapping[Outcome, int]]
    moves: Sequence[Move]
    samples_at: Mapping[int, int]
    last: float
    finished: float

    def metrics(self) -> dict[str, float]:
        """The step's figures under the names of the README's table "Logged metrics"."""
        rollouts = sum(self.outcomes.values())
        rates = {
            f"writing_rl/{outcome.value}_rate": self.outcomes.get(outcome, 0) / rollouts if rollouts else 0.0
            for outcome in Outcome
        }
        won_at = {
            f"writing_rl/win_rate_at/{index}": outcomes.get(Outcome.WIN, 0) / scored
            for index, outcomes in sorted(self.outcomes_at.items())
            if (scored := sum(outcomes.values()) - outcomes.get(Outcome.UNSCORED, 0))
        }
        up = sum(move.after > move.before for move in self.moves)
        return {
            **rates,
            **won_at,
            **spread_metrics(self.samples_at),
            "writing_rl/reference_index/last_share": self.last,
            "writing_rl/reference_index/finished_share": self.finished,
            "writing_rl/promotions": float(up),
            "writing_rl/demotions": float(len(self.moves) - up),
        }


def spread_metrics(samples_at: Mapping[int, int]) -> dict[str, float]:
    """Mean, quantiles and histogram of the reference index over all samples.

    Args:
        samples_at: Number of samples by index.
    """
    indexes = sorted(samples_at)
    samples = sum(samples_at.values())
    figures = {"mean": sum(index * count for index, count in samples_at.items()) / samples}
    for percent in QUANTILES:
        # The lowest index that at least this share of the samples does not exceed.
        below = 0
        for index in indexes:
            below += samples_at[index]
            if 100 * below >= percent * samples:
                figures[f"p{percent}"] = float(index)
                break
    shares = {f"share_at/{index}": samples_at.get(index, 0) / samples for index in range(indexes[-1] + 1)}
    return {f"writing_rl/reference_index/{name}": value for name, value in {**figures, **shares}.items()}


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

    The first rollout of a sample in a step fixes the reference that all rollouts of that group meet,
    whichever worker judges them and whenever, also where steps overlap. What a group did with a reference
    that is no longer its sample's, because another step or a person has moved the sample meanwhile, moves
    nobody.

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
        self._groups: dict[int, dict[str, _Group]] = defaultdict(dict)
        self._samples_at = Counter(self.indexes.values())
        lasts = map((-1).__add__, references.values())
        self._last = sum(map(operator.eq, self.indexes.values(), lasts))  # whose reference is their last

    def assign(self, step: int, key: str) -> int:
        """The index of the reference that a sample's rollouts meet in a step.

        Raises:
            KeyError: There is no such sample.
        """
        return self._group(step, key).reference

    @property
    def finished(self) -> Set[str]:
        """The samples that have beaten their last reference."""
        return self._finished

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
        outcomes = self._group(step, key).outcomes
        new = rollout not in outcomes
        outcomes[rollout] = outcome
        return new

    def commit(self, step: int) -> StepReport:
        """Ends a step: moves the samples that it moves, and forgets its outcomes.

        Outcomes of earlier steps that were never committed are forgotten too.

        Args:
            step: The step whose sampling has ended.
        """
        groups = self._groups.pop(step, {})
        for stale in [other for other in self._groups if other < step]:
            del self._groups[stale]
        moves: list[Move] = []
        if self._promotion.kind is Kind.DYNAMIC:
            moves = [move for key, group in groups.items() if (move := self._judged(key, group))]
        elif self._promotion.kind is Kind.STATIC:
            moves = self._scheduled(step)
        outcomes_at: dict[int, Counter[Outcome]] = defaultdict(Counter)
        for group in groups.values():
            outcomes_at[group.reference].update(group.outcomes.values())
        return StepReport(
            step=step,
            outcomes=sum(outcomes_at.values(), Counter()),
            outcomes_at=outcomes_at,
            moves=moves,
            samples_at={index: count for index, count in self._samples_at.items() if count},
            last=self._last / len(self.indexes),
            finished=len(self._finished) / len(self.indexes),
        )

    def edit(self, indexes: Mapping[str, int]) -> list[Move]:
        """Moves samples as a person has it; they begin anew there. Returns those that this moves.

        Args:
            indexes: The new index of each sample that was changed, by key; all of them are possible.
        """
        moves = [
            self._move(key, index, "manual") for key, index in indexes.items() if index != self.indexes[key]
        ]
        for move in moves:
            self._streaks.pop(move.key, None)
            self._finished.discard(move.key)
        return moves

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
        self._groups.clear()
        return moves

    def _group(self, step: int, key: str) -> _Group:
        groups = self._groups[step]
        if key not in groups:
            groups[key] = _Group(self.indexes[key])
        return groups[key]

    def _judged(self, key: str, group: _Group) -> Move | None:
        """Moves a sample as its rollouts have it."""
        if group.reference != self.indexes[key]:
            return None
        before = Standing(self.indexes[key], self._streaks.get(key, 0), key in self._finished)
        after = self._promotion.after(before, self._references[key], list(group.outcomes.values()))
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
        last = self._references[key] - 1
        self._last += (after == last) - (move.before == last)
        self._samples_at[move.before] -= 1
        self._samples_at[after] += 1
        self.indexes[key] = after
        return move


@dataclass
class _Group:
    """The rollouts of a sample in a step.

    Attributes:
        reference: The index of the reference that they meet.
        outcomes: By name of the rollout.
    """

    reference: int
    outcomes: dict[str, Outcome] = field(default_factory=dict)
