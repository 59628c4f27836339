"""Messages between reward workers, trainer and the owner of the curriculum, and how it is reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from writing_rl.judging.compare import Comparison
from writing_rl.judging.usage import Usage
from writing_rl.text.statistics import Writing
from writing_rl.util.batcher import Batches

if TYPE_CHECKING:
    import ray

#: The owner's name among the actors of a run.
OWNER = "writing_rl_reference_owner"

#: The column of a training prompt that says with which of its sample's references its texts are compared. Its
#: name is one that no data set of a user's has.
REFERENCE_COLUMN = "writing_rl_reference"


@dataclass(frozen=True)
class Row:
    """What names a sample.

    Attributes:
        id: The row's `ground_truth.id`.
        index: The row's `extra_info.index`.
    """

    id: int
    index: int

    @classmethod
    def of(cls, reward_model: Mapping[str, Any], extra_info: Mapping[str, Any] | None) -> Row:
        """The sample of a row of the data set, by the columns of these names."""
        return cls(int(reward_model["ground_truth"]["id"]), int((extra_info or {}).get("index", -1)))


@dataclass(frozen=True)
class Judged:
    """What came of one rollout.

    Attributes:
        row: Its sample.
        step: The training step that it belongs to.
        rollout: Its name, unique in the step.
        training: Whether it was a rollout of training; one of validation moves nobody.
        comparison: What came of it, without the judges' answers.
        usage: What these took.
        writing: What its text looks like.
    """

    row: Row
    step: int
    rollout: str
    training: bool
    comparison: Comparison
    usage: Usage
    writing: Writing

    @classmethod
    def of(
        cls, row: Row, step: int, rollout: str, training: bool, comparison: Comparison, writing: Writing
    ) -> Judged:
        """Arguments as the attributes, but for the whole comparison."""
        return cls(row, step, rollout, training, comparison.without_calls(), Usage.of(comparison), writing)


class End(NamedTuple):
    """Why judging has ended in a run.

    Attributes:
        cause: In words.
        complete: Whether a limit that was set for the run is reached, which is no failure.
    """

    cause: str
    complete: bool


def connect() -> ray.actor.ActorHandle:
    """The owner of this run, from any of its processes.

    Raises:
        ValueError: There is none.
    """
    import ray

    return ray.get_actor(OWNER)


def records(owner: ray.actor.ActorHandle) -> Batches[Judged, bool]:
    """A process's way to tell outcomes.

    While more are coming, outcomes are gathered for a moment: a message costs this process and the owner's a
    millisecond of CPU, a third of what a comparison costs, and nothing waits for it but the reward.
    """
    return Batches(owner.record.remote, most=256, every_s=0.25)
