"""The figures of a calibration as text, plain or Markdown. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from writing_rl.calibration import agreement
from writing_rl.calibration.agreement import Figure, name_of
from writing_rl.calibration.agreement_counts import ORDERS
from writing_rl.calibration.good_enough import Decision, decide
from writing_rl.calibration.labelled import LabelledPair
from writing_rl.calibration.order_verdicts import OrderVerdicts
from writing_rl.calibration.requirements import Requirements
from writing_rl.errors import DataError

Rows = list[tuple[str, ...]]

#: What people read in place of the names in `ORDERS`.
ORDER_TITLES = {"given": "response_a first", "swapped": "response_b first", "both": "both orders"}

EXPLANATION = (
    "Brackets hold 95 % intervals (bootstrap over prompts). Both orders: a judge that disagrees with itself\n"
    "gives a tie. More pairs are a rough number: if the figures stay, and if they are on more prompts."
)


@dataclass(frozen=True)
class Calibration:
    """All there is to report.

    Attributes:
        title: What was compared with what, in one line.
        figures: Those of `agreement.measure`.
        verdicts: What was judged.
        decisions: Those of `good_enough.decide`.
        notes: What else there is to know, a sentence each.
    """

    title: str
    figures: Mapping[str, Figure]
    verdicts: Sequence[OrderVerdicts]
    decisions: Sequence[Decision]
    notes: Sequence[str] = ()

    def plain(self) -> str:
        """The report for a terminal."""
        tables = [_plain(rows) for rows in self._tables()]
        answers = "\n".join(
            "\n".join(
                (f"{decision.strategy.value}: {decision.answer}", *(f"    {r}" for r in decision.reasons))
            )
            for decision in self.decisions
        )
        return "\n\n".join((self.title, *tables, answers, "\n".join((*self.notes, EXPLANATION))))

    def markdown(self) -> str:
        """The report as a file."""
        tables = [_markdown(rows) for rows in self._tables()]
        answers: Rows = [("REWARD_STRATEGY", "good enough to train with?", "why")]
        answers += [(f"`{d.strategy.value}`", d.answer, "; ".join(d.reasons)) for d in self.decisions]
        return "\n\n".join((f"# {self.title}", *tables, _markdown(answers), *self.notes, EXPLANATION)) + "\n"

    def _tables(self) -> tuple[Rows, Rows, Rows]:
        return by_order(self.figures), over_orders(self.figures), spent(self.verdicts)


def calibrate_on(
    source: str,
    labelled: Sequence[LabelledPair],
    verdicts: Mapping[str | int, OrderVerdicts],
    requirements: Requirements,
    *,
    empty: int = 0,
    seed: int = 0,
) -> Calibration:
    """Measures, decides, and makes the report.

    Args:
        source: Where the labelled pairs come from.
        labelled: The pairs.
        verdicts: What is judged of them, by id.
        requirements: What is asked of the judge.
        empty: How many pairs were left out because a text is empty.
        seed: Of the intervals.

    Raises:
        DataError: None of them is judged.
    """
    judged = [(one, verdicts[one.pair.id]) for one in labelled if one.pair.id in verdicts]
    if not judged:
        raise DataError(f"no pair of {source} has a verdict: judge them with --output")
    judge = judged[0][1].judge
    prompts = len({one.pair.prompt for one, _ in judged})
    title = f"Judge {judge} against people: {source}, {len(judged):,} pairs on {prompts:,} prompts"
    notes = []
    if missing := len(labelled) - len(judged):
        notes.append(f"Pairs that are not judged yet: {missing:,}.")
    if empty:
        notes.append(f"Pairs left out since a text is empty, which decides them without a judge: {empty:,}.")
    if judge == "offline":
        notes.append("The offline judge measures texts and is no LLM judge.")
    figures = agreement.measure(judged, seed=seed)
    decisions = decide(figures, requirements)
    return Calibration(title, figures, [verdict for _, verdict in judged], decisions, notes)


def by_order(figures: Mapping[str, Figure]) -> Rows:
    """The figures that each order has."""

    def row(title: str, name: str, spec: str = "") -> tuple[str, ...]:
        return title, *(format(figures[name_of(name, order)], spec) for order in ORDERS)

    counts = (str(figures[name_of(agreement.DECIDED, order)].count) for order in ORDERS)
    return [
        ("agreement with people", *(ORDER_TITLES[order] for order in ORDERS)),
        row("accuracy: A, B or C (a tie)", agreement.ACCURACY),
        row("accuracy without ties", agreement.DECIDED),
        ("  pairs that both people and judge decide", *counts),
        row("Cohen's kappa: A, B or C", agreement.KAPPA),
        row("unscored", agreement.UNSCORED, ".1%"),
    ]


def over_orders(figures: Mapping[str, Figure]) -> Rows:
    """The figures of both orders together, and of the people."""

    def row(title: str, name: str, what: str, spec: str = "") -> tuple[str, ...]:
        figure = figures[name]
        return title, format(figure, spec), f"{figure.count:,} {what}"

    return [
        ("bias and ceiling", "figure", "measured on"),
        row("position bias: first shown wins less second", agreement.POSITION_BIAS, "pairs", "+.3f"),
        row("flip rate: the orders disagree", agreement.FLIP_RATE, "pairs"),
        row("length bias: judge less people", agreement.LENGTH_BIAS, "verdicts", "+.3f"),
        row("  longer text wins with the judge", agreement.JUDGE_LONGER, "verdicts"),
        row("  longer text wins with people", agreement.PEOPLE_LONGER, "verdicts"),
        row("one person and the majority of the others", agreement.CEILING, "votes"),
        row("  without ties", agreement.CEILING_DECIDED, "votes"),
    ]


def spent(verdicts: Sequence[OrderVerdicts]) -> Rows:
    """What judging took."""
    calls = sum(verdict.calls for verdict in verdicts)
    read, written = (
        sum(getattr(verdict, name) for verdict in verdicts) for name in ("prompt_tokens", "completion_tokens")
    )
    latency = sum(verdict.latency_s for verdict in verdicts)
    costs = [verdict.cost_usd for verdict in verdicts if verdict.calls]
    known = [cost for cost in costs if cost is not None]
    cost = "unknown"
    if costs and len(known) == len(costs):
        both = 1000 * sum(known) / len(verdicts)
        cost = f"${both:.2f} in both orders, ${both / 2:.2f} in one"
    return [
        ("what it took", ""),
        ("pairs, each in both orders", f"{len(verdicts):,}"),
        ("calls", f"{calls:,}"),
        ("tokens read and written", f"{read:,} and {written:,}"),
        ("mean latency of a call", f"{latency / calls:.2f} s" if calls else "-"),
        ("cost of 1,000 comparisons", cost),
    ]


def _plain(rows: Rows) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def _markdown(rows: Rows) -> str:
    head, *body = ("| " + " | ".join(cell.strip().replace("|", "\\|") for cell in row) + " |" for row in rows)
    return "\n".join((head, "|" + "---|" * len(rows[0]), *body))
