"""How far a judge agrees with people: the figures, each with a 95 % interval. Pure functions.

Every figure is a ratio of sums over pairs, so that a resample is a weighted sum, and all of them a product.
The interval is the percentile interval over resamples of the *prompts*, each with all its pairs: pairs of one
prompt are alike. Where every pair has a prompt of its own, that is resampling pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from writing_rl.calibration.agreement_counts import ORDERS, Array, count
from writing_rl.calibration.labelled import LabelledPair
from writing_rl.calibration.order_verdicts import OrderVerdicts

ACCURACY, DECIDED, KAPPA, UNSCORED = "accuracy", "accuracy_without_ties", "kappa", "unscored"
POSITION_BIAS, FLIP_RATE = "position_bias", "flip_rate"
LENGTH_BIAS, JUDGE_LONGER, PEOPLE_LONGER = "length_bias", "judge_longer", "people_longer"
CEILING, CEILING_DECIDED = "ceiling", "ceiling_without_ties"

RESAMPLES = 2000
#: Resamples that are drawn at a time; bounds the memory.
_CHUNK = 100


@dataclass(frozen=True)
class Figure:
    """A figure with its interval; not a number where nothing was there to measure it.

    Attributes:
        value: The figure.
        low: Lower end of the 95 % interval.
        high: Upper end.
        count: What it was measured on: pairs; for length bias verdicts, for the human ceiling votes.
        prompts: Different prompts among them.
    """

    value: float
    low: float
    high: float
    count: int
    prompts: int

    def __format__(self, spec: str) -> str:
        """Value and interval; the format is that of each number, `.3f` by default."""
        if np.isnan(self.value):
            return "-"
        spec = spec or ".3f"
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


class _Ratio(NamedTuple):
    """A figure of one resample or of many: numerator, denominator, and how many it was measured on."""

    over: Array
    under: Array
    number: Array


def name_of(figure: str, order: str) -> str:
    """The name of a figure that each order has."""
    return f"{figure}/{order}"


def measure(
    judged: Sequence[tuple[LabelledPair, OrderVerdicts]], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Figure]:
    """Measures everything.

    - `accuracy/ORDER`: share of the scored pairs whose verdict is the label, over A, B and C.
    - `accuracy_without_ties/ORDER`: the same over the pairs where both label and verdict are A or B.
    - `kappa/ORDER`: Cohen's kappa of verdict and label over A, B and C.
    - `unscored/ORDER`: share of the pairs without a verdict.
    - `position_bias`: share of verdicts for the text shown first, less that for the one shown second, over
      both orders of the pairs that are scored in both, so that the better text does not count.
    - `flip_rate`: share of those pairs whose orders disagree.
    - `judge_longer`, `people_longer`, `length_bias`: how often the longer text wins with the judge, with
      people, and the difference; over the verdicts of either order where both decide and lengths differ.
    - `ceiling`, `ceiling_without_ties`: how often one person agrees with the majority of the others.

    ORDER is one of `ORDERS`.

    Args:
        judged: Labelled pairs with their verdicts; at least one.
        resamples: How many are drawn for the intervals.
        seed: Of the resamples.

    Returns:
        The figures by name.
    """
    counts = count(judged)
    numbers: dict[str, int] = {}
    groups = np.array([numbers.setdefault(labelled.pair.prompt, len(numbers)) for labelled, _ in judged], int)
    prompts = {name: _sum_by(groups, len(numbers), values) for name, values in counts.items()}
    whole = _ratios({name: values.sum(axis=0) for name, values in prompts.items()})
    single, drawn = _ratios(prompts), _ratios(_resample(prompts, len(numbers), resamples, seed))
    figures = {}
    for name, ratio in whole.items():
        values = _divide(drawn[name])
        values = values[~np.isnan(values)]
        low, high = np.percentile(values, (2.5, 97.5)) if len(values) else (np.nan, np.nan)
        there = int(np.count_nonzero(single[name].number))
        figures[name] = Figure(float(_divide(ratio)), float(low), float(high), int(ratio.number), there)
    return figures


def _ratios(sums: dict[str, Array]) -> dict[str, _Ratio]:
    """The figures of sums; any axes in front are kept."""
    ratios = {}
    for order in ORDERS:
        table = sums[order]
        total, hits = table.sum(axis=(-2, -1)), np.trace(table, axis1=-2, axis2=-1)
        decided = table[..., :2, :2]  # A and B
        decisions, right = decided.sum(axis=(-2, -1)), np.trace(decided, axis1=-2, axis2=-1)
        chance = (table.sum(axis=-1) * table.sum(axis=-2)).sum(axis=-1)
        ratios[name_of(ACCURACY, order)] = _Ratio(hits, total, total)
        ratios[name_of(DECIDED, order)] = _Ratio(right, decisions, decisions)
        ratios[name_of(KAPPA, order)] = _Ratio(total * hits - chance, total**2 - chance, total)
        unscored = sums[f"{UNSCORED}/{order}"]
        ratios[name_of(UNSCORED, order)] = _Ratio(unscored, sums["pairs"], sums["pairs"])
    table = sums["orders"]  # by the verdicts with response_a first (rows) and response_b first (columns)
    total = table.sum(axis=(-2, -1))
    first = table[..., 0, :].sum(axis=-1) + table[..., :, 1].sum(axis=-1)
    second = table[..., 1, :].sum(axis=-1) + table[..., :, 0].sum(axis=-1)
    ratios[POSITION_BIAS] = _Ratio(first - second, 2 * total, total)
    ratios[FLIP_RATE] = _Ratio(total - np.trace(table, axis1=-2, axis2=-1), total, total)
    decisions, by_judge, by_people = np.moveaxis(sums["length"], -1, 0)
    ratios[JUDGE_LONGER] = _Ratio(by_judge, decisions, decisions)
    ratios[PEOPLE_LONGER] = _Ratio(by_people, decisions, decisions)
    ratios[LENGTH_BIAS] = _Ratio(by_judge - by_people, decisions, decisions)
    agreed, number, agreed_decided, decided = np.moveaxis(sums["people"], -1, 0)
    ratios[CEILING] = _Ratio(agreed, number, number)
    ratios[CEILING_DECIDED] = _Ratio(agreed_decided, decided, np.ceil(decided))
    return ratios


def _divide(ratio: _Ratio) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(ratio.under == 0, np.nan, ratio.over / ratio.under)


def _sum_by(groups: NDArray[np.int_], number: int, values: Array) -> Array:
    sums = np.zeros((number, *values.shape[1:]))
    np.add.at(sums, groups, values)
    return sums


def _resample(sums: dict[str, Array], number: int, resamples: int, seed: int) -> dict[str, Array]:
    """The sums over as many prompts as there are, drawn with replacement; the first axis is the draws."""
    generator = np.random.default_rng(seed)
    parts: dict[str, list[Array]] = {name: [] for name in sums}
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        drawn = generator.integers(number, size=(size, number)) + number * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * number).reshape(size, number).astype(float)
        for name, values in sums.items():
            parts[name].append(np.tensordot(times, values, axes=1))
    return {name: np.concatenate(part) for name, part in parts.items()}
