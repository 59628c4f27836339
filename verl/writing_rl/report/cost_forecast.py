"""What a run has cost so far, and what it will have cost at its end. Pure functions."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from writing_rl.report.run_data import Run
from writing_rl.runlog.metrics_file import TRAINED

TOTAL_COST = "writing_rl/judge/total_cost_usd"
STEP_COST = "writing_rl/judge/cost_usd"
STEP_TIME = "timing_s/step"
#: Steps that a forecast is made from: the last ones, since texts grow longer in the course of a training.
WINDOW = 50


@dataclass(frozen=True)
class Forecast:
    """What is left of a run.

    Attributes:
        spent_usd: What the judge has cost so far; None where prices are not known.
        end_usd: What it will have cost at the end; None where that cannot be said.
        seconds: How long the steps that are left take, without validation and checkpoints; None likewise.
        steps: How many steps are left; None where it is not known how many there are.
    """

    spent_usd: float | None
    end_usd: float | None
    seconds: float | None
    steps: int | None


def forecast(run: Run) -> Forecast:
    """Continues the cost and the time of the last steps to the end of the run."""
    left = None if run.total_steps is None else max(0, run.total_steps - run.last_step)
    spent = _spent(run)
    step_usd = cost_of_a_step(run)
    end = None
    if spent is not None and left is not None and (left == 0 or step_usd is not None):
        end = spent + left * (step_usd or 0.0)
    times = list(run.series(STEP_TIME).values())[-WINDOW:]
    seconds = left * statistics.median(times) if left is not None and times else None
    return Forecast(spent, end, seconds, left)


def _spent(run: Run) -> float | None:
    """What the count of the experiment says; the metrics know as much as of the last step."""
    if not prices_are_known(run):
        return None
    logged = list(run.series(TOTAL_COST).values())[-1:]
    counted = [run.spent.cost_usd] if run.spent else []
    return max([*logged, *counted], default=None)


def prices_are_known(run: Run) -> bool:
    """Whether every answer had a price: a step with an answer that had none logs no cost."""
    trained = [step for step, figures in run.figures.items() if TRAINED in figures]
    if trained:
        return all(STEP_COST in run.figures[step] for step in trained)
    return run.spent is not None and (run.spent.cost_usd > 0 or run.spent.tokens == 0)


def cost_of_a_step(run: Run) -> float | None:
    """The mean cost of the last steps, with the validations among them; None where nothing tells."""
    totals = list(run.series(TOTAL_COST).items())[-WINDOW - 1 :]
    if len(totals) >= 2:
        (first, before), (last, after) = totals[0], totals[-1]
        return (after - before) / (last - first)
    return totals[0][1] / totals[0][0] if totals and totals[0][0] > 0 else None
