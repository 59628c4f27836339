"""What a selection of data kept and left out: as a table, as CSV and as JSON. Pure functions."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from writing_rl.data.selection.select import Candidate, Choice, Rule
from writing_rl.text.csv_cell import cell
from writing_rl.util.redact import printable

#: Sources that the table shows; the JSON file holds all.
MOST_SOURCES = 20

CSV_COLUMNS = ("id", "source", "best_score", "policy_score", "samples_k", "margin", "rank", "kept", "why")


@dataclass(frozen=True)
class Selection:
    """A choice with what it was made of.

    Attributes:
        rule: What was asked for.
        candidates: The rows, in the order of the file.
        choices: What became of each.
    """

    rule: Rule
    candidates: Sequence[Candidate]
    choices: Sequence[Choice]

    @property
    def kept(self) -> list[Candidate]:
        """The rows that are kept."""
        pairs = zip(self.candidates, self.choices, strict=True)
        return [candidate for candidate, choice in pairs if choice.kept]

    @property
    def left_out(self) -> list[Candidate]:
        """The rows that have a policy score and are not kept."""
        pairs = zip(self.candidates, self.choices, strict=True)
        return [candidate for candidate, choice in pairs if choice.rank is not None and not choice.kept]

    @property
    def unscored(self) -> list[Candidate]:
        """The rows without a policy score."""
        return [candidate for candidate in self.candidates if candidate.policy is None]

    def describe(self) -> str:
        """What was asked for, in words."""
        rule = self.rule
        if rule.above is not None:
            what = f"margin above {rule.above:g}, ranked by {rule.by.value}"
        else:
            part = f"first {rule.top:,}" if rule.top is not None else f"first share of {rule.share:g}"
            what = f"{part} by {rule.by.value}"
        return f"{what}, within each source" if rule.per_source else what


@dataclass(frozen=True)
class Means:
    """The figures of some rows; None where there are none.

    Attributes:
        rows: How many.
        margin: The mean margin of those with a policy score.
        policy_score: Their mean policy score.
        best_score: The mean score of the best reference of all.
    """

    rows: int
    margin: float | None
    policy_score: float | None
    best_score: float | None


def measure(candidates: Sequence[Candidate]) -> Means:
    """The figures of some rows."""
    scored = [(one.margin, one.policy) for one in candidates if one.policy is not None]
    return Means(
        len(candidates),
        _mean([margin for margin, _ in scored]),
        _mean([policy for _, policy in scored]),
        _mean([one.best for one in candidates]),
    )


def table(selection: Selection) -> str:
    """The selection for a terminal."""
    rows = [("", "rows", "mean margin", "mean policy score", "mean best score")]
    rows += _lines("", selection.kept, selection.left_out, selection.unscored)
    sizes = Counter(candidate.source for candidate in selection.candidates)
    if len(sizes) > 1:
        groups = [_by_source(part) for part in (selection.kept, selection.left_out, selection.unscored)]
        # The largest first; equal ones by name.
        for source in sorted(sizes, key=lambda name: (-sizes[name], name))[:MOST_SOURCES]:
            rows += _lines(
                f"{printable(source, 60) or '(no source)'}: ", *(group.get(source, []) for group in groups)
            )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for name, *cells in rows:
        numbers = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        lines.append("  ".join((name.ljust(widths[0]), *numbers)))
    if len(sizes) > MOST_SOURCES:
        lines.append(f"... and {len(sizes) - MOST_SOURCES:,} more sources, which the JSON file holds")
    return "\n".join(lines)


def notes(selection: Selection, unknown: int) -> list[str]:
    """What a person should know before training, a sentence each.

    Args:
        selection: The selection.
        unknown: How many ids with a policy score are no row's.
    """
    found = []
    kept = selection.kept
    top = selection.rule.top
    if top is not None and not selection.rule.per_source and len(kept) < top:
        found.append(f"There are only {len(kept):,} scored rows, so all are kept and nothing is selected.")
    if beaten := sum(candidate.margin <= 0 for candidate in kept):
        found.append(
            f"{beaten:,} of the kept rows have no margin: the policy is as good as their best reference. "
            f"Keep fewer, or use --above 0."
        )
    if unknown:
        found.append(f"{unknown:,} ids with a policy score are in no row of the data: they are not used.")
    scored = [(one.best, one.policy) for one in selection.candidates if one.policy is not None]
    best, policy = [one for one, _ in scored], [one for _, one in scored]
    # One grader rarely puts every response of the policy on one side of every best reference.
    if len(scored) > 1 and (max(policy) < min(best) or min(policy) > max(best)):
        found.append(
            f"Best references score {min(best):g} to {max(best):g}, the policy {min(policy):g} to "
            f"{max(policy):g}: check that both are graded on the same scale, or the margins mean nothing."
        )
    return found


def as_csv(selection: Selection) -> str:
    """One line a row of the data, in the order of the file; safe to open in a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for one, choice in zip(selection.candidates, selection.choices, strict=True):
        # Numbers are written in full, so that a threshold can be checked by them; None becomes an empty cell.
        margin = None if one.policy is None else one.margin
        kept = str(choice.kept).lower()
        scores = (one.best, one.policy, one.responses, margin)
        writer.writerow((one.id, cell(one.source), *scores, choice.rank, kept, choice.why))
    return text.getvalue()


def as_json(selection: Selection, inputs: Mapping[str, Any], output: Mapping[str, Any], unknown: int) -> str:
    """The settings, the files and the figures.

    Args:
        selection: The selection.
        inputs: What is said of the files that were read.
        output: What is said of the file that was written.
        unknown: How many ids with a policy score are no row's.
    """
    parts = {"kept": selection.kept, "left_out": selection.left_out, "unscored": selection.unscored}
    grouped = {name: _by_source(part) for name, part in parts.items()}
    sources = sorted({candidate.source for candidate in selection.candidates})
    content = {
        "settings": asdict(selection.rule),
        "inputs": dict(inputs),
        "output": dict(output),
        "counts": {
            "rows": len(selection.candidates),
            **{name: len(part) for name, part in parts.items()},
            "policy_responses": sum(candidate.responses for candidate in selection.candidates),
            "policy_ids_without_row": unknown,
        },
        "means": {name: asdict(measure(part)) for name, part in parts.items()},
        "sources": {
            source: {name: asdict(measure(group.get(source, []))) for name, group in grouped.items()}
            for source in sources
        },
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _lines(
    prefix: str, kept: Sequence[Candidate], left_out: Sequence[Candidate], unscored: Sequence[Candidate]
) -> list[tuple[str, str, str, str, str]]:
    named = [("kept", kept), ("left out", left_out)]
    if unscored:
        named.append(("no policy score", unscored))
    lines = []
    for name, part in named:
        means = measure(part)
        margin, policy, best = map(_shown, (means.margin, means.policy_score, means.best_score))
        lines.append((f"{prefix}{name}", f"{means.rows:,}", margin, policy, best))
    return lines


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _by_source(candidates: Sequence[Candidate]) -> dict[str, list[Candidate]]:
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.source, []).append(candidate)
    return groups


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
