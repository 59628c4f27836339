"""Curves over the steps: what the policy writes, how it is rewarded, and how the training goes."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from writing_rl.judging.verdict import Outcome
from writing_rl.report.drawing import CURVES, INK, LINES, MUTED, Chart, Key
from writing_rl.report.headline import outcomes_by_step, validation_curves
from writing_rl.report.metrics import smoothed, smoothing, thinned
from writing_rl.report.run_data import Run
from writing_rl.report.shown_metrics import Kind

#: Points of a curve; more are not seen.
MOST_POINTS = 400


def charts_of(kinds: Sequence[Kind], runs: Sequence[Run]) -> list[Chart]:
    """The charts of those metrics that a run has; what is zero all the time is left out."""
    return [chart for kind in kinds if (chart := chart_of(kind, runs)) is not None]


def chart_of(kind: Kind, runs: Sequence[Run]) -> Chart | None:
    """One chart: colours tell runs apart, or the metrics of a single one; None where no run has it."""
    curves: list[tuple[Key, dict[int, float]]] = []
    present = [key for key in kind.keys if any(any(run.series(key).values()) for run in runs)]
    for number, run in enumerate(runs):
        for place, key in enumerate(present):
            if series := run.series(key):
                names = ([run.name] if len(runs) > 1 else []) + ([kind.keys[key]] if len(present) > 1 else [])
                entry = _key(" · ".join(names) or kind.title, number if len(runs) > 1 else place, place)
                curves.append((entry, series))
    if not curves:
        return None
    longest = max(len(series) for _, series in curves)
    caption = kind.caption
    together = smoothing(longest)
    if together > 1:
        caption += f" Bold: the mean of {together} steps."
    draw = functools.partial(_draw_curves, curves=curves, kind=kind, together=together)
    legend = [key for key, _ in curves] if max(len(runs), len(curves)) > 1 else []
    return Chart(kind.name, kind.title, caption, draw, legend)


def validation_chart(runs: Sequence[Run]) -> Chart | None:
    """Validation's win rate against its fixed reference; None before the first one."""
    curves: list[tuple[Key, dict[int, float]]] = []
    for number, run in enumerate(runs):
        found = validation_curves(run)
        for place, (source, series) in enumerate(found.items()):
            names = ([run.name] if len(runs) > 1 else []) + ([source] if len(found) > 1 else [])
            colour = number if len(runs) > 1 else place
            curves.append((_key(" · ".join(names) or "win rate", colour, place), series))
    if not curves:
        return None
    bars = intervals(runs[0]) if len(curves) == 1 else {}
    caption = (
        "Share of the validation texts that beat a reference which never changes. This is the curve that "
        "says whether the writer gets better: in a good run it rises, and then levels out."
    )
    if bars:
        caption += " Bars are 95 % intervals."
    last_step = max(1, *(run.last_step for run in runs), *(step for _, series in curves for step in series))
    draw = functools.partial(_draw_validation, curves=curves, bars=bars, last_step=last_step)
    legend = [key for key, _ in curves] if max(len(runs), len(curves)) > 1 else []
    return Chart("validation", "Validation win rate", caption, draw, legend)


def intervals(run: Run) -> dict[int, tuple[float, float]]:
    """95 % intervals (Wilson) of validation's win rate by step, where transcripts say of how many texts."""
    found = {}
    for step, counts in outcomes_by_step(run.judged.validation).items():
        scored = sum(counts.values()) - counts[Outcome.UNSCORED]
        if scored:
            found[step] = wilson(counts[Outcome.WIN], scored)
    return found


def wilson(wins: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """The interval of a share.

    Args:
        wins: How many of them.
        count: Of how many, at least 1.
        z: Standard deviations; 1.96 is 95 %.
    """
    rate = wins / count
    middle = (rate + z * z / (2 * count)) / (1 + z * z / count)
    reach = z / (1 + z * z / count) * math.sqrt(rate * (1 - rate) / count + (z / (2 * count)) ** 2)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _key(label: str, colour: int, line: int) -> Key:
    return Key(label, CURVES[colour % len(CURVES)], LINES[(line + colour // len(CURVES)) % len(LINES)])


def _draw_curves(
    axes: Axes, curves: Sequence[tuple[Key, dict[int, float]]], kind: Kind, together: int
) -> None:
    for key, series in curves:
        thin = thinned(series, MOST_POINTS)
        style = {"color": key.colour, "linestyle": key.line}
        if len(series) == 1:
            axes.plot(list(series), list(series.values()), marker="o", **style)
            continue
        if together > 1:
            axes.plot(list(thin), list(thin.values()), color=key.colour, linewidth=0.8, alpha=0.35)
            thin = thinned(smoothed(series, together), MOST_POINTS)
        axes.plot(list(thin), list(thin.values()), **style)
    if kind.share:
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
    if kind.from_zero:
        axes.set_ylim(bottom=0)
        if axes.get_ylim()[1] <= 0:
            axes.set_ylim(top=1)


def _draw_validation(
    axes: Axes,
    curves: Sequence[tuple[Key, dict[int, float]]],
    bars: Mapping[int, tuple[float, float]],
    last_step: int,
) -> None:
    for key, series in curves:
        steps = list(series)
        for step in steps:
            if step in bars:
                axes.vlines(step, *bars[step], color=key.colour, alpha=0.45, linewidth=4)
        axes.plot(
            steps, list(series.values()), color=key.colour, linestyle=key.line, marker="o", markersize=5
        )
        if len(curves) == 1:
            for step, side in ((steps[0], "left"), (steps[-1], "right"))[: len(steps)]:
                top = max(series[step], bars.get(step, (0.0, 0.0))[1])
                text = f"{series[step]:.2f}"
                axes.annotate(text, (step, top), (0, 5), textcoords="offset points", ha=side, color=INK)
    axes.axhline(0.5, color=MUTED, linewidth=0.8, linestyle=LINES[2])
    axes.set_ylim(0, 1.06)
    axes.set_xlim(-0.03 * last_step, 1.03 * last_step)
