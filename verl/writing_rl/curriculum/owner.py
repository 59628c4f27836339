"""The one owner of the curriculum in a run: a Ray actor that all reward workers and the trainer ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray

from writing_rl.curriculum.index_file import write_index
from writing_rl.curriculum.rules import GroupRule
from writing_rl.curriculum.state import Curriculum, StepReport
from writing_rl.data.samples import SampleKeys
from writing_rl.judging.verdict import Outcome

NAME = "writing_rl_reference_owner"


class ReferenceOwner:
    """Keeps the curriculum and its file; see `Curriculum` for the meaning of each call."""

    def __init__(
        self,
        path: str,
        keys: SampleKeys,
        references: Mapping[str, int],
        indexes: Mapping[str, int],
        rule: GroupRule,
    ) -> None:
        self._path = path
        self._keys = keys
        self._curriculum = Curriculum(references, dict(indexes), rule)
        self._validating = False

    def current(self, id: int, index: int) -> int | None:
        """The reference index of a sample, or None while the run validates: validation has its own reference.

        Args:
            id: The row's `ground_truth.id`.
            index: The row's `extra_info.index`.
        """
        return None if self._validating else self._curriculum.current(self._keys.key(id, index))

    def record(self, step: int, id: int, index: int, rollout: str, outcome: str) -> None:
        """Notes the outcome of one training rollout."""
        self._curriculum.record(step, self._keys.key(id, index), rollout, Outcome(outcome))

    def set_validating(self, validating: bool) -> None:
        """Tells whether what is judged from now on is validation."""
        self._validating = validating

    def commit(self, step: int) -> StepReport:
        """Ends a step and writes the file.

        Raises:
            IndexFileError: The file cannot be written.
        """
        report = self._curriculum.commit(step)
        if report.promotions:
            write_index(self._path, self._curriculum.indexes)
        return report

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
