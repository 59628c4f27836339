"""The one owner of the curriculum in a run: a Ray actor that all reward workers and the trainer ask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import ray

from writing_rl.curriculum.index_file import write_index
from writing_rl.curriculum.journal import Journal
from writing_rl.curriculum.lock import RunLock
from writing_rl.curriculum.rules import Promotion
from writing_rl.curriculum.state import Curriculum, Saved
from writing_rl.data.samples import SampleKeys
from writing_rl.judging import writing
from writing_rl.judging.breaker import Breaker
from writing_rl.judging.compare import Comparison
from writing_rl.judging.usage import Usage
from writing_rl.judging.writing import Writing

NAME = "writing_rl_reference_owner"


class Assignment(NamedTuple):
    """What a rollout is to be compared with.

    Attributes:
        reference: Index of the sample's current reference, or None while the run validates: validation has
            its own reference.
        stopped: Whether the run is being ended, so that nothing is to be judged any more.
    """

    reference: int | None
    stopped: bool


@dataclass(frozen=True)
class Row:
    """What names a sample.

    Attributes:
        id: The row's `ground_truth.id`.
        index: The row's `extra_info.index`.
    """

    id: int
    index: int


@dataclass(frozen=True)
class Judged:
    """What came of one rollout.

    Attributes:
        row: Its sample.
        step: The training step that it belongs to.
        rollout: Its name, unique in the step.
        training: Whether it was a rollout of training; one of validation moves nobody.
        comparison: What came of it.
        writing: What its text looks like.
    """

    row: Row
    step: int
    rollout: str
    training: bool
    comparison: Comparison
    writing: Writing


class End(NamedTuple):
    """Why judging has ended in a run.

    Attributes:
        cause: In words.
        complete: Whether a limit that was set for the run is reached, which is no failure.
    """

    cause: str
    complete: bool


class ReferenceOwner:
    """Keeps what there can be only one of in a run: curriculum and index file, and whether judging goes on.

    See `Curriculum` and `Breaker` for the meaning of each call.
    """

    def __init__(
        self,
        path: str,
        keys: SampleKeys,
        references: Mapping[str, int],
        indexes: Mapping[str, int],
        promotion: Promotion,
        breaker: Breaker,
    ) -> None:
        self._path = path
        self._keys = keys
        self._lock = RunLock(path)
        self._lock.acquire()
        self._journal = Journal(path)
        self._curriculum = Curriculum(references, indexes, promotion)
        self._breaker = breaker
        self._usage: dict[int, list[Usage]] = defaultdict(list)
        self._writing: dict[int, list[Writing]] = defaultdict(list)
        self._validating = False
        self._complete = False

    def assign(self, rows: Sequence[Row]) -> list[Assignment]:
        """What rollouts of some samples are to be compared with."""
        return [Assignment(self._current(row), self._breaker.cause is not None) for row in rows]

    def record(self, rollouts: Sequence[Judged]) -> list[bool]:
        """Notes what came of some rollouts; telling it twice moves nobody twice.

        Returns:
            For each of them, whether judging has ended in this run.
        """
        for judged in rollouts:
            self._breaker.note(judged.comparison)
            if judged.training:
                key, outcome = self._keys.key(judged.row.id, judged.row.index), judged.comparison.outcome
                if self._curriculum.record(judged.step, key, judged.rollout, outcome):
                    self._usage[judged.step].append(Usage.of(judged.comparison))
                    self._writing[judged.step].append(judged.writing)
        return [self._breaker.cause is not None] * len(rollouts)

    def stop(self, cause: str, complete: bool = False) -> None:
        """Ends judging in this run; the trainer learns of it at the end of its step or validation.

        Args:
            cause: Why.
            complete: Whether a limit that was set for the run is reached, which is no failure.
        """
        if self._breaker.cause is None:
            self._complete = complete
        self._breaker.trip(cause)

    def stopped(self) -> End | None:
        """Why judging has ended in this run, or None."""
        return End(self._breaker.cause, self._complete) if self._breaker.cause is not None else None

    def set_validating(self, validating: bool) -> None:
        """Tells whether what is judged from now on is validation."""
        self._validating = validating

    def commit(self, step: int) -> dict[str, float]:
        """Ends a step and writes the file.

        Returns:
            The step's figures under the names of the README's table "Logged metrics".

        Raises:
            IndexFileError: The file cannot be written.
        """
        report = self._curriculum.commit(step)
        if report.moves:
            self._journal.append(step, report.moves)
            write_index(self._path, self._curriculum.indexes)
        usage = Usage.total(self._usage.pop(step, []))
        texts = self._writing.pop(step, [])
        for figures in (self._usage, self._writing):
            for stale in [other for other in figures if other < step]:
                del figures[stale]
        return {**report.metrics(), **usage.metrics(), **writing.metrics(texts)}

    def begin(self, step: int, total_steps: int) -> None:
        """Begins a run, once it is known where it begins; brings file and journal together.

        Args:
            step: The last step that is complete, 0 in a new run.
            total_steps: Steps of the whole training.

        Raises:
            IndexFileError: The journal is damaged, or cannot be written.
        """
        self._curriculum.total_steps = total_steps
        self._join(step)

    def save(self) -> Saved:
        """What a checkpoint keeps."""
        return self._curriculum.save()

    def restore(self, step: int, saved: Saved) -> int:
        """Takes a checkpoint's state over, and writes the file.

        Args:
            step: The checkpoint's.
            saved: What it keeps.

        Returns:
            How many samples stand elsewhere than the file had them.
        """
        self._join(step)
        moves = self._curriculum.restore(saved)
        self._journal.append(step, moves)
        write_index(self._path, self._curriculum.indexes)
        return len(moves)

    def _join(self, step: int) -> None:
        """Brings journal, file and curriculum together: a kill may have come between the first two."""
        indexes = self._journal.begin(step, self._curriculum.indexes)
        self._curriculum.restore(replace(self._curriculum.save(), indexes=indexes))

    def _current(self, row: Row) -> int | None:
        return None if self._validating else self._curriculum.current(self._keys.key(row.id, row.index))


def start_owner(*args: Any) -> ray.actor.ActorHandle:
    """Starts the owner; call it once in a run, with the arguments of `ReferenceOwner`.

    It gets no restarts: a new owner would not know the outcomes of the step, so its death ends the run.
    """
    return ray.remote(ReferenceOwner).options(name=NAME, num_cpus=0, max_restarts=0).remote(*args)


def connect() -> ray.actor.ActorHandle:
    """The owner of this run, from any of its processes.

    Raises:
        ValueError: There is none.
    """
    return ray.get_actor(NAME)
