"""The one owner of the curriculum in a run: a Ray actor that all reward workers and the trainer ask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

import ray

from writing_rl.curriculum.index_file import write_index
from writing_rl.curriculum.rules import GroupRule
from writing_rl.curriculum.state import Curriculum
from writing_rl.data.samples import SampleKeys
from writing_rl.judging.breaker import Breaker
from writing_rl.judging.compare import Comparison
from writing_rl.judging.usage import Usage

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
        rule: GroupRule,
        breaker: Breaker,
    ) -> None:
        self._path = path
        self._keys = keys
        self._curriculum = Curriculum(references, dict(indexes), rule)
        self._breaker = breaker
        self._usage: dict[int, list[Usage]] = defaultdict(list)
        self._validating = False

    def current(self, id: int, index: int) -> Assignment:
        """What a rollout of a sample is to be compared with.

        Args:
            id: The row's `ground_truth.id`.
            index: The row's `extra_info.index`.
        """
        reference = None if self._validating else self._curriculum.current(self._keys.key(id, index))
        return Assignment(reference, stopped=self._breaker.cause is not None)

    def record(self, step: int, id: int, index: int, rollout: str, comparison: Comparison) -> bool:
        """Notes what came of one training rollout; telling it twice moves nobody twice.

        Returns:
            Whether judging has ended in this run.
        """
        self._curriculum.record(step, self._keys.key(id, index), rollout, comparison.outcome)
        self._usage[step].append(Usage.of(comparison))
        return self.record_validation(comparison)

    def record_validation(self, comparison: Comparison) -> bool:
        """Notes what came of one rollout of validation, which moves nobody; returns as `record`."""
        self._breaker.note(comparison)
        return self._breaker.cause is not None

    def stop(self, cause: str) -> None:
        """Ends judging in this run; the trainer learns of it at the end of its step or validation."""
        self._breaker.trip(cause)

    def stopped(self) -> str | None:
        """Why judging has ended in this run, or None."""
        return self._breaker.cause

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
        if report.promotions:
            write_index(self._path, self._curriculum.indexes)
        usage = Usage.total(self._usage.pop(step, []))
        for stale in [other for other in self._usage if other < step]:
            del self._usage[stale]
        return {**report.metrics(), **usage.metrics()}

    def save(self, path: str) -> None:
        """Writes the state to another file, such as a checkpoint's."""
        write_index(path, self._curriculum.indexes)

    def restore(self, indexes: Mapping[str, int]) -> None:
        """Takes a checkpoint's state over and writes the file."""
        self._curriculum.restore(indexes)
        write_index(self._path, self._curriculum.indexes)


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
