"""The figures that a run logged, over all its starts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import orjson

#: A figure that every training step has, also one without anything to learn from.
TRAINED = "writing_rl/win_rate"


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
