"""What each judged pair adds to the sums that `agreement` makes its figures of. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from writing_rl.calibration.labelled import LabelledPair, agreement_with_others
from writing_rl.calibration.order_verdicts import OrderVerdicts
from writing_rl.judging.verdict import Verdict

Array = NDArray[np.float64]
Codes = NDArray[np.int_]

#: The ways to read a pair: `response_a` shown first, `response_b` shown first, and both orders combined.
ORDERS = ("given", "swapped", "both")

_A, _B, _TIE, _UNSCORED = 0, 1, 2, -1
_CODES = {Verdict.A: _A, Verdict.B: _B, Verdict.TIE: _TIE, None: _UNSCORED}


def count(judged: Sequence[tuple[LabelledPair, OrderVerdicts]]) -> dict[str, Array]:
    """Counts each pair.

    Returns:
        Arrays by name, whose first axis is the pairs:

        - `pairs`: a one.
        - each of `ORDERS`: a table of label and verdict.
        - `unscored/ORDER`: whether there is no verdict.
        - `orders`: a table of the verdicts with `response_a` first and with `response_b` first.
        - `length`: of the verdicts of either order that decide, where people decide and the lengths differ:
          how many they are, for the longer text, and with people for the longer text.
        - `people`: agreements of one person with the majority of the others, and how many there are; and
          both again without ties.
    """
    labels = np.array([_CODES[labelled.label] for labelled, _ in judged], int)
    given = np.array([_CODES[verdicts.given] for _, verdicts in judged], int)
    swapped = np.array([_CODES[verdicts.swapped] for _, verdicts in judged], int)
    both = np.array([_CODES[verdicts.both] for _, verdicts in judged], int)
    counts = {"pairs": np.ones(len(judged)), "orders": _table(given, swapped)}
    for order, verdicts in zip(ORDERS, (given, swapped, both), strict=True):
        counts[order] = _table(labels, verdicts)
        counts[f"unscored/{order}"] = (verdicts == _UNSCORED).astype(float)
    lengths = np.array([labelled.lengths for labelled, _ in judged], int)
    counts["length"] = _length(lengths, labels, given) + _length(lengths, labels, swapped)
    counts["people"] = np.array([_people(labelled.votes) for labelled, _ in judged])
    return counts


def _table(rows: Codes, columns: Codes) -> Array:
    """For each pair a 3 x 3 table with a one where it belongs; all zeros where a verdict is missing."""
    tables = np.zeros((len(rows), 3, 3))
    there = np.flatnonzero((rows != _UNSCORED) & (columns != _UNSCORED))
    tables[there, rows[there], columns[there]] = 1
    return tables


def _length(lengths: Codes, labels: Codes, verdicts: Codes) -> Array:
    longer = np.where(lengths[:, 0] > lengths[:, 1], _A, _B)
    decided = (lengths[:, 0] != lengths[:, 1]) & np.isin(labels, (_A, _B)) & np.isin(verdicts, (_A, _B))
    columns = (decided, decided & (verdicts == longer), decided & (labels == longer))
    return np.stack(columns, axis=1).astype(float)


def _people(votes: Sequence[Verdict]) -> tuple[float, float, float, float]:
    agreed = number = agreed_decided = decided = 0.0
    for vote, others in agreement_with_others(votes) if len(votes) > 1 else ():
        number += 1
        agreed += others.get(vote, 0.0)
        if vote is not Verdict.TIE:
            decided += others.get(Verdict.A, 0.0) + others.get(Verdict.B, 0.0)
            agreed_decided += others.get(vote, 0.0)
    return agreed, number, agreed_decided, decided
