"""What came of the arms, as figures with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from writing_rl.experiments.ablation.arms import ARMS, COMPARISONS, Trial
from writing_rl.experiments.ablation.groups import Part, mean_of, parts_of
from writing_rl.experiments.ablation.held_out import HeldOut, held_out, transcript
from writing_rl.experiments.ablation.intervals import Interval, Values, difference, mean
from writing_rl.experiments.ablation.run import command, is_done
from writing_rl.runlog.summary import REFERENCE, read_metrics
from writing_rl.util.folders import output_folder

#: What is measured on held-out texts, and what it is.
MEASURES: dict[str, Callable[[HeldOut], float]] = {
    "plot points": lambda text: text.told.points,
    "beats told": lambda text: float(text.told.beats),
    "against best": lambda text: text.against_best,
    "offline score": lambda text: text.reward,
    "words": lambda text: float(text.words),
}


@dataclass(frozen=True)
class ArmResult:
    """What came of an arm.

    Attributes:
        arm: Its name; `before` is the model before training.
        seeds: The seeds that came to their end.
        measures: What was measured on held-out texts.
        reference: The mean reference index at the end, by seed; empty for `before`.
        parts: What training had to learn from, the mean over seeds; empty where there are no groups, or the
            reward is not the outcome.
    """

    arm: str
    seeds: tuple[int, ...]
    measures: Mapping[str, Interval]
    reference: tuple[float, ...] = ()
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Difference:
    """An arm beside the first one of its comparison, over the seeds that both have."""

    comparison: str
    arm: str
    other: str
    measures: Mapping[str, Interval]


@dataclass(frozen=True)
class Results:
    """Everything that came of it."""

    steps: int
    arms: Sequence[ArmResult]
    differences: Sequence[Difference]
    commands: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """All figures."""
        return asdict(self)


BEFORE = "before"


def collect(seeds: Sequence[int], steps: int) -> Results:
    """Judges the held-out texts of all trainings that have come to their end.

    Raises:
        DataError: A transcript is not whole.
    """
    texts: dict[str, dict[int, list[HeldOut]]] = {}
    done: list[Trial] = []
    for arm in ARMS.values():
        for seed in seeds:
            trial = Trial(arm, seed)
            if not is_done(trial, steps):
                continue
            done.append(trial)
            texts.setdefault(arm.name, {})[seed] = held_out(trial, steps)
            if arm.name == "dynamic":
                texts.setdefault(BEFORE, {})[seed] = held_out(trial, 0)
    order = [BEFORE, *ARMS]
    results = [_arm(name, texts[name], steps) for name in order if name in texts]
    differences = [
        Difference(
            comparison.title, arm, comparison.arms[0], _differences(texts[comparison.arms[0]], texts[arm])
        )
        for comparison in COMPARISONS
        for arm in comparison.arms[1:]
        if arm in texts
        and comparison.arms[0] in texts
        and texts[arm].keys() & texts[comparison.arms[0]].keys()
    ]
    return Results(steps, results, differences, [command(trial, steps) for trial in done])


def _arm(name: str, texts: Mapping[int, Sequence[HeldOut]], steps: int) -> ArmResult:
    measures = {measure: mean(_values(texts, of)) for measure, of in MEASURES.items()}
    if name == BEFORE:
        return ArmResult(name, tuple(sorted(texts)), measures)
    trials = [Trial(ARMS[name], seed) for seed in sorted(texts)]
    reference = tuple(map(_reference, trials))
    parts = mean_of(parts_of(transcript(trial), steps) for trial in trials) if ARMS[name].pairwise else []
    return ArmResult(name, tuple(sorted(texts)), measures, reference, tuple(parts))


def _differences(
    first: Mapping[int, Sequence[HeldOut]], other: Mapping[int, Sequence[HeldOut]]
) -> dict[str, Interval]:
    """The first arm less the other one."""
    return {measure: difference(_values(first, of), _values(other, of)) for measure, of in MEASURES.items()}


def _values(texts: Mapping[int, Sequence[HeldOut]], of: Callable[[HeldOut], float]) -> Values:
    return {seed: [of(text) for text in of_seed] for seed, of_seed in texts.items()}


def _reference(trial: Trial) -> float:
    """The mean reference index after the last step."""
    steps = [step for step in read_metrics(output_folder("logs") / trial.experiment) if REFERENCE in step]
    return float(steps[-1][REFERENCE])
