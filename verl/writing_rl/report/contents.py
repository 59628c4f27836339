"""What stands in a report, in its order: of one run, or of several beside each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from writing_rl.report.charts_curriculum import distribution_chart, outcomes_chart, paths_chart
from writing_rl.report.charts_curves import chart_of, charts_of, validation_chart
from writing_rl.report.charts_judge import cost_chart, latency_chart
from writing_rl.report.drawing import CURVES, Chart
from writing_rl.report.headline import Stat, headline, status
from writing_rl.report.run_data import Reason, Run
from writing_rl.report.samples import Story, most_improved, stuck
from writing_rl.report.shown_metrics import (
    ATTACKS,
    CURRICULUM,
    JUDGE,
    MEAN_REFERENCE,
    REWARD,
    TEXTS,
    TRAINING,
)
from writing_rl.report.shown_settings import chosen, differing
from writing_rl.util.redact import clean, redact


@dataclass(frozen=True)
class Section:
    """A heading with charts below it.

    Attributes:
        anchor: Its place in the page.
        title: The heading.
        intro: What the charts answer, in a sentence.
        charts: The charts.
    """

    anchor: str
    title: str
    intro: str
    charts: Sequence[Chart]


@dataclass(frozen=True)
class RunPart:
    """What there is to say of one run alone.

    Attributes:
        name: The experiment.
        colour: The number of its colour in charts of several runs.
        status: How far it is.
        judge: Who judges.
        stats: Its headline figures.
        notes: What is missing, damaged or odd.
        reasons: Why comparisons were unscored.
        settings: Label and value, by heading.
        versions: Versions that its logs mention, by name.
        checkpoints: The steps of which there is a checkpoint.
        starts: How many starts there were.
        comparisons: How many comparisons the transcripts hold.
    """

    name: str
    colour: int
    status: str
    judge: str
    stats: Sequence[Stat]
    notes: Sequence[str]
    reasons: Sequence[Reason]
    settings: Mapping[str, Sequence[tuple[str, str]]]
    versions: Mapping[str, str]
    checkpoints: Sequence[int]
    starts: int
    comparisons: int


@dataclass(frozen=True)
class Contents:
    """Everything that stands in a report.

    Attributes:
        title: What it is about.
        runs: The runs, one or several.
        sections: Charts under headings.
        improved: The samples that climbed most; of one run only.
        stuck: The samples that do not move; of one run only.
        differences: Settings that differ between the runs: key, and value in each.
    """

    title: str
    runs: Sequence[RunPart]
    sections: Sequence[Section]
    improved: Sequence[Story] = ()
    stuck: Sequence[Story] = ()
    differences: Sequence[tuple[str, Sequence[str]]] = field(default_factory=list)

    @property
    def charts(self) -> list[Chart]:
        """All charts."""
        return [chart for section in self.sections for chart in section.charts]


def contents_of(runs: Sequence[Run], root: Path, now: float, samples: int) -> Contents:
    """Decides what there is to say.

    Args:
        runs: One or several runs.
        root: The folder that paths are shown relative to.
        now: Seconds since 1970.
        samples: How many samples to show of each kind.
    """
    parts = [_part(run, number, root, now) for number, run in enumerate(runs)]
    title = ", ".join(part.name for part in parts)
    if len(runs) > 1:
        known = [run.log.settings for run in runs if run.log.settings]
        differences = list(differing(known, root)) if len(known) == len(runs) else []
        return Contents(title, parts, _sections(_compared(runs)), differences=differences)
    (run,) = runs
    improved, not_moving = most_improved(run, samples), stuck(run, samples)
    return Contents(title, parts, _sections(_alone(run, improved, not_moving)), improved, not_moving)


def _part(run: Run, number: int, root: Path, now: float) -> RunPart:
    return RunPart(
        clean(run.name),
        number % len(CURVES),
        status(run, now),
        clean(redact(run.judge)),
        headline(run),
        [clean(redact(note)) for note in run.notes],
        run.judged.reasons,
        chosen(run.log.settings, root),
        run.log.versions,
        run.checkpoints,
        run.log.starts,
        run.judged.comparisons,
    )


_INTROS = {
    "progress": (
        "Progress",
        "Whether the writer improves shows in validation, whose reference never changes; training itself "
        "meets references that get harder.",
    ),
    "curriculum": ("Curriculum", "Where each prompt's current reference is, and how the prompts came there."),
    "training": ("Texts and training", "What the policy writes, and whether the training is stable."),
    "judge": ("Judge", "How long verdicts take, what they cost, and how many are missing."),
}


def _sections(charts: Mapping[str, Iterable[Chart | None]]) -> list[Section]:
    sections = []
    for anchor, found in charts.items():
        there = [chart for chart in found if chart is not None]
        # Small charts make rows of their own.
        there.sort(key=lambda chart: not chart.wide)
        if there or anchor == "judge":
            sections.append(Section(anchor, *_INTROS[anchor], there))
    return sections


def _alone(
    run: Run, improved: Sequence[Story], not_moving: Sequence[Story]
) -> Mapping[str, Iterable[Chart | None]]:
    runs = [run]
    return {
        "progress": [
            outcomes_chart(run),
            validation_chart(runs),
            chart_of(ATTACKS, runs),
            chart_of(REWARD, runs),
            chart_of(MEAN_REFERENCE, runs),
        ],
        "curriculum": [
            distribution_chart(run),
            paths_chart(run, improved, not_moving),
            *charts_of(CURRICULUM, runs),
        ],
        "training": charts_of([*TEXTS, *TRAINING], runs),
        "judge": [latency_chart(runs), cost_chart(runs), *charts_of(JUDGE, runs)],
    }


def _compared(runs: Sequence[Run]) -> Mapping[str, Iterable[Chart | None]]:
    outcomes = [outcomes_chart(run, f"Outcomes: {run.name}") for run in runs]
    distributions = [distribution_chart(run, f"Where the references are: {run.name}") for run in runs]
    return {
        "progress": [
            validation_chart(runs),
            chart_of(ATTACKS, runs),
            chart_of(REWARD, runs),
            chart_of(MEAN_REFERENCE, runs),
            *_beside(outcomes),
        ],
        "curriculum": [*_beside(distributions), *charts_of(CURRICULUM, runs)],
        "training": charts_of([*TEXTS, *TRAINING], runs),
        "judge": [latency_chart(runs), cost_chart(runs), *charts_of(JUDGE, runs)],
    }


def _beside(charts: Sequence[Chart | None]) -> list[Chart]:
    """Charts of the same kind, one of each run, small and with names of their own."""
    there = [
        replace(chart, name=f"{chart.name}-{number}", wide=False)
        for number, chart in enumerate(charts, start=1)
        if chart is not None
    ]
    # What one should see is said once.
    return [chart if place == 0 else replace(chart, caption="") for place, chart in enumerate(there)]
