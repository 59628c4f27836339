"""The figures that a run logged, over all its starts, and what is made of a series. Pure, but for reading."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from writing_rl.report.run_data import TRAINED

_VALIDATION = re.compile(r"val-aux/(?P<source>.+)/win/mean@\d+")

Series = dict[int, float]


def read_figures(folder: Path) -> tuple[dict[int, dict[str, float]], int]:
    """Reads the figures of every step; one that is no finite number is left out.

    Each start writes a file of its own. A run that went back to a checkpoint has the steps after it only as
    far as the last start took them, and what validation says of the checkpoint's own step adds to the
    figures that the step itself had.

    Args:
        folder: `logs/NAME/metrics`.

    Returns:
        Figures by step, in the order of steps, and the number of lines that cannot be read, without the
        last line of a file, which a kill may tear.
    """
    steps: dict[int, dict[str, float]] = {}
    unreadable = 0
    for path in sorted(folder.glob("*.jsonl")):
        first = None
        *lines, last = path.read_bytes().split(b"\n")
        for number, line in enumerate([*lines, last]):
            if not line.strip():
                continue
            if (entry := _entry(line)) is None:
                unreadable += number < len(lines)
                continue
            step, figures = entry
            if first is None:
                first = step
                for later in [other for other in steps if other > step]:
                    del steps[later]
            if TRAINED in figures:
                steps[step] = figures
            else:
                steps.setdefault(step, {}).update(figures)
    return {step: steps[step] for step in sorted(steps)}, unreadable


def _entry(line: bytes) -> tuple[int, dict[str, float]] | None:
    """A line's step and figures, or None where it is damaged."""
    try:
        entry = orjson.loads(line)
        step, data = entry["step"], entry["data"]
    except (ValueError, KeyError, TypeError):
        return None
    if type(step) is not int or not isinstance(data, dict):
        return None
    return step, {key: float(value) for key, value in data.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


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
