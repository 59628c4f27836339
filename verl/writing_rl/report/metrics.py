"""What is made of the figures of a run. Pure functions."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

_VALIDATION = re.compile(r"val-aux/(?P<source>.+)/win/mean@\d+")

Series = dict[int, float]


def validation_keys(figures: Mapping[int, Mapping[str, float]]) -> dict[str, str]:
    """The metrics that are validation's win rates: data source by key."""
    keys = {key for step in figures.values() for key in step if key.startswith("val-aux/")}
    return {key: match["source"] for key in sorted(keys) if (match := _VALIDATION.fullmatch(key))}


def smoothed(series: Mapping[int, float], together: int) -> Series:
    """The mean of each step and its neighbours.

    Args:
        series: Values by step.
        together: How many steps are taken together, an odd number.
    """
    values, reach = list(series.values()), together // 2
    return {
        step: math.fsum(part := values[max(0, place - reach) : place + reach + 1]) / len(part)
        for place, step in enumerate(series)
    }


def smoothing(points: int) -> int:
    """How many steps to take together, so that a curve of so many points can be read; 1 is none."""
    return 1 + 2 * min(10, points // 30)


def thinned(series: Mapping[int, float], most: int) -> Series:
    """At most so many points: means of as many steps in a row as it takes, each at the last of its steps.

    Args:
        series: Values by step.
        most: Points at most.
    """
    together = -(-len(series) // most)
    if together <= 1:
        return dict(series)
    steps, values = list(series), list(series.values())
    return {
        steps[min(first + together, len(steps)) - 1]: math.fsum(part) / len(part)
        for first in range(0, len(steps), together)
        if (part := values[first : first + together])
    }


def ends(values: Sequence[float], window: int) -> tuple[float, float]:
    """The means of the first and of the last values."""
    window = max(1, min(window, len(values) // 2))
    return math.fsum(values[:window]) / window, math.fsum(values[-window:]) / window
