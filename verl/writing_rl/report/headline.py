"""The figures at the top of a report. Pure functions."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from writing_rl.judging.verdict import Outcome
from writing_rl.report.cost_forecast import STEP_TIME, TOTAL_COST, forecast
from writing_rl.report.metrics import ends, validation_keys
from writing_rl.report.run_data import Meeting, Run
from writing_rl.runlog.summary import REFERENCE, REWARD

#: Steps at both ends of a training that a noisy figure is a mean of.
WINDOW = 5
UNSCORED = "writing_rl/unscored_rate"
ATTACKS = "writing_rl/attacks/any"


@dataclass(frozen=True)
class Stat:
    """One figure.

    Attributes:
        label: What it is.
        value: As it is written.
        after: A second value that the first has become; empty where there is none.
        more: What else there is to know, in a few words.
    """

    label: str
    value: str
    after: str = ""
    more: str = ""


def headline(run: Run) -> list[Stat]:
    """The figures of a run, the same ones for every run; what is not known is a dash."""
    return [_steps(run), _validation(run), _reference(run), _reward(run), _cost(run), _unscored(run)]


def validation_curves(run: Run) -> dict[str, dict[int, float]]:
    """Validation's win rate by step, for each data source; from the transcripts where no metric has it."""
    logged = {source: run.series(key) for key, source in validation_keys(run.figures).items()}
    if logged:
        return logged
    outcomes = outcomes_by_step(run.judged.validation)
    rates = {
        step: counts[Outcome.WIN] / scored for step, counts in outcomes.items() if (scored := _scored(counts))
    }
    return {"": rates} if rates else {}


def outcomes_by_step(samples: Mapping[str, Sequence[Meeting]]) -> dict[int, Counter[Outcome]]:
    """Number of rollouts by outcome, in the order of steps."""
    found: dict[int, Counter[Outcome]] = {}
    for meetings in samples.values():
        for meeting in meetings:
            found.setdefault(meeting.step, Counter()).update(meeting.outcomes)
    return {step: found[step] for step in sorted(found)}


def outcome_rates(run: Run) -> dict[Outcome, dict[int, float]]:
    """Shares of the outcomes in training by step; from the transcripts where no metric has them."""
    rates = {outcome: run.series(f"writing_rl/{outcome.value}_rate") for outcome in Outcome}
    if any(rates.values()):
        return rates
    counted = outcomes_by_step(run.judged.training)
    return {
        outcome: {step: counts[outcome] / sum(counts.values()) for step, counts in counted.items()}
        for outcome in Outcome
    }


def _scored(counts: Counter[Outcome]) -> int:
    return sum(counts.values()) - counts[Outcome.UNSCORED]


def _steps(run: Run) -> Stat:
    total = "" if run.total_steps is None else f"of {run.total_steps:,}"
    times = list(run.series(STEP_TIME).values())
    each = f"{duration(statistics.median(times))} each" if times else ""
    left = forecast(run)
    if left.steps and left.seconds:
        each = f"{each}, {duration(left.seconds)} left"
    return Stat("Steps", f"{run.last_step:,}", more=", ".join(part for part in (total, each) if part))


def _validation(run: Run) -> Stat:
    label = "Win rate against the fixed reference"
    curves = validation_curves(run)
    if not curves:
        return Stat(label, "–", more=f"no validation yet{_attacks(run)}")
    firsts = [next(iter(curve.values())) for curve in curves.values() if curve]
    lasts = [list(curve.values())[-1] for curve in curves.values() if curve]
    times = max(len(curve) for curve in curves.values())
    sources = f"mean of {len(curves)} sources, " if len(curves) > 1 else ""
    more = f"{sources}{times} validation{'s' if times > 1 else ''}{_attacks(run)}"
    if times == 1:
        return Stat(label, share(statistics.fmean(firsts)), more=more)
    return Stat(label, share(statistics.fmean(firsts)), share(statistics.fmean(lasts)), more)


def _attacks(run: Run) -> str:
    """How many of the last texts address the judge, for the end of a line; empty where that is not logged."""
    shares = list(run.series(ATTACKS).values())
    return f"; {share(ends(shares, WINDOW)[1], exact=True)} of texts address the judge" if shares else ""


def _reference(run: Run) -> Stat:
    label = "Mean reference index"
    means = list(run.series(REFERENCE).values())
    highest = max(run.references.values(), default=0) - 1
    more = f"of 0 to {highest}" if highest > 0 else "0 is the easiest reference"
    if not means and run.positions is not None and run.positions.counts.sum():
        counts = run.positions.counts
        indexes = range(counts.shape[0])
        columns = (counts[:, 0], counts[:, -1])
        means = [sum(i * int(n) for i, n in zip(indexes, c, strict=True)) / int(c.sum()) for c in columns]
    if not means:
        return Stat(label, "–", more="no training step yet")
    return Stat(label, f"{means[0]:.2f}", f"{means[-1]:.2f}", more)


def _reward(run: Run) -> Stat:
    values = list(run.series(REWARD).values())
    if not values:
        return Stat("Mean reward", "–", more="no training step yet")
    window = max(1, min(WINDOW, len(values) // 2))
    before, after = ends(values, WINDOW)
    return Stat(
        "Mean reward", f"{before:.2f}", f"{after:.2f}", f"first and last {window}, references get harder"
    )


def _cost(run: Run) -> Stat:
    left = forecast(run)
    calls = f"{run.spent.calls:,} calls" if run.spent else ""
    if left.spent_usd is None:
        known = bool(run.series(TOTAL_COST)) or run.spent is not None
        return Stat("Judge's cost", "–", more="prices are not known" if known else "nothing spent yet")
    at_end = f"about {money(left.end_usd)} at the end" if left.end_usd and left.steps else ""
    return Stat(
        "Judge's cost", money(left.spent_usd), more=", ".join(part for part in (calls, at_end) if part)
    )


def _unscored(run: Run) -> Stat:
    label = "Unscored comparisons"
    rates = list(run.series(UNSCORED).values())
    counted: Counter[Outcome] = sum(outcomes_by_step(run.judged.training).values(), Counter())
    if not rates and not counted:
        return Stat(label, "–", more="nothing judged yet")
    rate = statistics.fmean(rates) if rates else counted[Outcome.UNSCORED] / sum(counted.values())
    reason = next(iter(run.judged.reasons), None)
    return Stat(
        label, share(rate, exact=True), more=f"mostly {reason.name}" if reason else "each got a verdict"
    )


def share(value: float, exact: bool = False) -> str:
    """A share as people write it; an exact one in tenths of a percent."""
    if exact:
        return f"{100 * value:.1f} %"
    return f"{value:.2f}"


def money(usd: float | None) -> str:
    """US dollars; cents only where they matter."""
    if usd is None:
        return "–"
    if 0 < usd < 0.01:
        return "< $0.01"
    return f"${usd:,.2f}" if usd < 100 else f"${usd:,.0f}"


def duration(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 1:
        return f"{seconds:.2g} s"
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = math.ceil(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def status(run: Run, now: float) -> str:
    """How far a run is, in one line.

    Args:
        run: The run.
        now: Seconds since 1970.
    """
    total = f" of {run.total_steps:,}" if run.total_steps is not None else ""
    written = (
        f"{datetime.fromtimestamp(run.written, timezone.utc):%Y-%m-%d %H:%M} UTC" if run.written else "never"
    )
    if run.is_finished:
        return f"Finished: {run.last_step:,}{total} steps, {written}"
    if now - run.written < max(600.0, 5 * statistics.median(list(run.series(STEP_TIME).values()) or [0.0])):
        age = now - run.written
        ago = f"{duration(age)} ago" if age >= 10 else "a moment ago"
        return f"Under way: step {run.last_step:,}{total}, last written {ago}"
    return f"Not finished: step {run.last_step:,}{total}, last written {written}"
