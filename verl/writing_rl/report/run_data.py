"""What is known of a run, from all that it has left behind so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy

from writing_rl.judging.client.budget import Bill
from writing_rl.judging.verdict import Outcome
from writing_rl.runlog.metrics_file import TRAINED
from writing_rl.runlog.train_log import LogFacts

#: Figures by step; only finite numbers.
Figures = Mapping[int, Mapping[str, float]]


class Place(NamedTuple):
    """Where a transcript holds a comparison, so that its texts can be read later.

    Attributes:
        file: The number of the file among those that were read.
        offset: Of the line, in bytes.
        length: Of the line, in bytes.
        outcome: The comparison's outcome.
    """

    file: int
    offset: int
    length: int
    outcome: Outcome


@dataclass
class Meeting:
    """The rollouts of a sample in a step, which all met one reference.

    Attributes:
        step: The step.
        group: A name that the rollouts share; a step that is taken again has other groups.
        reference: The index of the reference.
        places: One for each rollout.
    """

    step: int
    group: str
    reference: int
    places: list[Place] = field(default_factory=list)

    @property
    def outcomes(self) -> Counter[Outcome]:
        """Number of rollouts by outcome."""
        return Counter(place.outcome for place in self.places)

    @property
    def win_share(self) -> float | None:
        """Share of wins among the scored rollouts; None where there is none."""
        outcomes = self.outcomes
        scored = sum(outcomes.values()) - outcomes[Outcome.UNSCORED]
        return outcomes[Outcome.WIN] / scored if scored else None


@dataclass
class Reason:
    """Why comparisons were unscored.

    Attributes:
        name: As in the transcripts, such as `timeout`.
        count: How many comparisons.
        example: What the provider said in one of them; may be empty.
    """

    name: str
    count: int = 0
    example: str = ""


@dataclass
class Judged:
    """What the judge's transcripts tell, without the texts.

    Attributes:
        files: The transcripts, in the order of `Place.file`.
        training: The meetings of each sample, in the order of steps.
        validation: The same of validation.
        latencies_s: Median and 95th percentile of the answered calls, in seconds, by step.
        reasons: Why comparisons were unscored, the most frequent reason first.
        judges: Answered calls by the judge's name.
        comparisons: Lines that were read.
        unreadable: Lines that could not be read.
    """

    files: Sequence[Path] = ()
    training: Mapping[str, Sequence[Meeting]] = field(default_factory=dict)
    validation: Mapping[str, Sequence[Meeting]] = field(default_factory=dict)
    latencies_s: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    reasons: Sequence[Reason] = ()
    judges: Counter[str] = field(default_factory=Counter)
    comparisons: int = 0
    unreadable: int = 0


@dataclass(frozen=True)
class Positions:
    """Where the samples stood after every step, as the journal tells it.

    Attributes:
        first_step: The step of the first column.
        counts: Number of samples, by index of their reference (rows) and step (columns).
        start: The index of each sample where the journal begins.
        changes: Of the samples that moved: step and new index, in the order of steps.
        resumed: The steps that the run went back to.
        by_hand: How many changes a person made.
    """

    first_step: int
    counts: numpy.ndarray
    start: Mapping[str, int]
    changes: Mapping[str, Sequence[tuple[int, int]]]
    resumed: Sequence[int] = ()
    by_hand: int = 0

    @property
    def steps(self) -> range:
        """The steps of the columns."""
        return range(self.first_step, self.first_step + self.counts.shape[1])

    def end(self, key: str) -> int:
        """Where a sample stands now."""
        changes = self.changes.get(key)
        return changes[-1][1] if changes else self.start[key]


@dataclass(frozen=True)
class Run:
    """All there is to report of an experiment; a piece that is missing is empty and has a note.

    Attributes:
        name: The experiment.
        figures: Its metrics by step.
        positions: Where its samples stood; None where there is no journal.
        judged: What was judged.
        log: What its logs tell.
        spent: What the judge has cost so far; None where nothing says so.
        references: How many references each sample has; empty where the training set is not there any more.
        by_index: Whether the training set names samples by `extra_info.index`; None where it is not there.
        checkpoints: The steps of which there is a checkpoint.
        total_steps: Steps of the whole training, or None where nothing says so.
        written: When it last wrote something, in seconds since 1970; 0.0 where it wrote nothing.
        notes: What is missing or damaged, a sentence each.
    """

    name: str
    figures: Figures = field(default_factory=dict)
    positions: Positions | None = None
    judged: Judged = field(default_factory=Judged)
    log: LogFacts = field(default_factory=LogFacts)
    spent: Bill | None = None
    references: Mapping[str, int] = field(default_factory=dict)
    by_index: bool | None = None
    checkpoints: Sequence[int] = ()
    total_steps: int | None = None
    written: float = 0.0
    notes: Sequence[str] = ()

    @property
    def last_step(self) -> int:
        """The last training step that is complete, 0 before the first."""
        trained = [step for step, figures in self.figures.items() if TRAINED in figures]
        if trained:
            return max(trained)
        return max((m.step for meetings in self.judged.training.values() for m in meetings), default=0)

    @property
    def is_finished(self) -> bool:
        """Whether it took its last step."""
        return self.total_steps is not None and self.last_step >= self.total_steps

    def series(self, key: str) -> dict[int, float]:
        """One metric by step."""
        return {step: figures[key] for step, figures in self.figures.items() if key in figures}

    @property
    def judge(self) -> str:
        """Who judged, as far as that is known."""
        model = self.log.settings.get("writing_rl.judge.model")
        if isinstance(model, (list, tuple)):
            return ",".join(map(str, model))
        return str(model) if model else ",".join(sorted(self.judged.judges)) or "unknown"
