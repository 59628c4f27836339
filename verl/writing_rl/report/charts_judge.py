"""Charts of the judge: how long it takes, and what it costs."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from matplotlib.axes import Axes

from writing_rl.report.charts_curves import MOST_POINTS
from writing_rl.report.cost_forecast import TOTAL_COST, forecast, prices_are_known
from writing_rl.report.drawing import CURVES, LINES, MUTED, Chart, Key
from writing_rl.report.headline import money
from writing_rl.report.metrics import thinned
from writing_rl.report.run_data import Run

_P50, _P95 = "writing_rl/judge/latency_s/p50", "writing_rl/judge/latency_s/p95"

Curves = list[tuple[Key, dict[int, float]]]


def latency_chart(runs: Sequence[Run]) -> Chart | None:
    """Median and 95th percentile of the answered calls; None where nothing was answered."""
    curves: Curves = []
    for number, run in enumerate(runs):
        p50, p95 = latencies(run)
        name = f"{run.name} · " if len(runs) > 1 else ""
        colours = (number, number) if len(runs) > 1 else (0, 1)
        if any(p95.values()):
            curves.append((Key(f"{name}median", CURVES[colours[0] % len(CURVES)], LINES[0]), p50))
            curves.append((Key(f"{name}95 %", CURVES[colours[1] % len(CURVES)], LINES[1]), p95))
    if not curves:
        return None
    caption = (
        "Seconds from a request to its answer. Even is good; a 95 % line that leaves the median behind says "
        "that the endpoint is overloaded: lower API_PARALLEL."
    )
    draw = functools.partial(_draw_seconds, curves=curves)
    return Chart("latency", "Judge: latency", caption, draw, [key for key, _ in curves])


def latencies(run: Run) -> tuple[dict[int, float], dict[int, float]]:
    """Median and 95th percentile by step; from the transcripts where no metric has them."""
    p50, p95 = run.series(_P50), run.series(_P95)
    if p95:
        return p50, p95
    found = run.judged.latencies_s
    return {step: pair[0] for step, pair in found.items()}, {step: pair[1] for step, pair in found.items()}


def _draw_seconds(axes: Axes, curves: Curves) -> None:
    for key, series in curves:
        thin = thinned(series, MOST_POINTS)
        marker = "o" if len(thin) == 1 else None
        axes.plot(list(thin), list(thin.values()), color=key.colour, linestyle=key.line, marker=marker)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("seconds")


def cost_chart(runs: Sequence[Run]) -> Chart | None:
    """What the judge has cost, continued to the end; None where it costs nothing, or nobody knows what."""
    curves: Curves = []
    ahead: list[tuple[str, tuple[int, float], tuple[int, float]]] = []
    for number, run in enumerate(runs):
        series = run.series(TOTAL_COST)
        if not any(series.values()) or not prices_are_known(run):
            continue
        key = Key(run.name if len(runs) > 1 else "so far", CURVES[number % len(CURVES)], LINES[0])
        curves.append((key, series))
        left = forecast(run)
        if left.end_usd is not None and left.steps and run.total_steps is not None:
            last = max(series)
            ahead.append((key.colour, (last, series[last]), (run.total_steps, left.end_usd)))
    if not curves:
        return None
    caption = "What the experiment's answered and unanswered calls have cost, over all its starts."
    if ahead:
        caption += " Dashed: if the steps to come cost as much as the last ones."
    legend = [key for key, _ in curves] if len(runs) > 1 else []
    if ahead and len(curves) == 1:
        legend = [curves[0][0], Key("forecast", curves[0][0].colour, LINES[1])]
    draw = functools.partial(_draw_cost, curves=curves, ahead=ahead)
    return Chart("cost", "Judge: cost", caption, draw, legend)


def _draw_cost(
    axes: Axes, curves: Curves, ahead: Sequence[tuple[str, tuple[int, float], tuple[int, float]]]
) -> None:
    for key, series in curves:
        thin = thinned(series, MOST_POINTS)
        axes.plot(list(thin), list(thin.values()), color=key.colour, marker="o" if len(thin) == 1 else None)
    for colour, start, end in ahead:
        axes.plot(*zip(start, end, strict=True), color=colour, linestyle=LINES[1])
        axes.annotate(money(end[1]), end, (0, 5), textcoords="offset points", ha="right", color=MUTED)
    axes.set_ylim(0, 1.12 * axes.get_ylim()[1])
    axes.yaxis.set_major_formatter(lambda value, _: f"${value:,.6g}")
