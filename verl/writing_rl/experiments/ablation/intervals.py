"""Means and their differences with bootstrap intervals, clustered by prompt. Pure functions.

A seed has prompts of its own, each with one text. Within each seed the prompts are drawn again with
replacement, and the mean over seeds is taken of the means: so the intervals say how far the choice of prompts
may have decided. How far the luck of a training may have, the seeds' own means show, which stand beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 5000

#: Values of one arm: seed -> a value for each prompt, in the order of the prompts.
Values = Mapping[int, Sequence[float]]


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval.

    Attributes:
        value: The mean over seeds.
        low: Lower end.
        high: Upper end.
        by_seed: The mean of each seed.
    """

    value: float
    low: float
    high: float
    by_seed: tuple[float, ...]


def mean(values: Values) -> Interval:
    """The mean of an arm."""
    return _interval([np.asarray(values[seed], float) for seed in sorted(values)])


def difference(values: Values, other: Values) -> Interval:
    """The mean of an arm less that of another, over the seeds that both have, prompt by prompt.

    Raises:
        ValueError: They share no seed, or have different prompts.
    """
    seeds = sorted(values.keys() & other.keys())
    if not seeds:
        raise ValueError("the arms share no seed")
    if any(len(values[seed]) != len(other[seed]) for seed in seeds):
        raise ValueError("the arms have different prompts")
    return _interval([np.asarray(values[seed], float) - np.asarray(other[seed], float) for seed in seeds])


def _interval(by_seed: Sequence[np.ndarray]) -> Interval:
    draw = np.random.default_rng(0)
    resampled = np.mean(
        [
            values[draw.integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)
            for values in by_seed
        ],
        axis=0,
    )
    means = tuple(float(values.mean()) for values in by_seed)
    low, high = (float(end) for end in np.quantile(resampled, (0.025, 0.975)))
    return Interval(float(np.mean(means)), low, high, means)
