"""Where all samples stood after every step, from a journal's entries. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy

from writing_rl.report.run_data import Positions


class _Change(NamedTuple):
    step: int
    key: str
    before: int | None
    after: int


def follow(entries: Sequence[Mapping[str, Any]], last_step: int | None = None) -> Positions | None:
    """Follows a journal to where it leads.

    A run that went back to an earlier step is followed the way it went: of a step taken twice, the second
    time counts.

    Args:
        entries: Those of `writing_rl.curriculum.journal.read_journal`.
        last_step: The last step that the run has taken, which may have changed nothing.

    Returns:
        The positions; None of an empty journal.
    """
    start: dict[str, int] = {}
    now: dict[str, int] = {}
    changes: list[_Change] = []
    resumed: list[int] = []
    step = first_step = by_hand = 0
    for entry in entries:
        if entry["step"] < step or entry["why"] == "resumed":
            _go_back(changes, entry["step"])
            resumed.append(entry["step"])
        step = entry["step"]
        if entry["why"] == "start":
            start, first_step, changes, resumed = dict(entry["indexes"]), step, [], []
            now = dict(start)
        elif "id" in entry:
            key, after = str(entry["id"]), entry["to"]
            changes.append(_Change(step, key, now.get(key), after))
            now[key] = after
            by_hand += entry["why"] == "manual"
    if not start and not changes:
        return None
    last = max([first_step, step, *([] if last_step is None else [last_step])])
    kept = _by_sample(changes, start)
    counts = _count(start, kept, first_step, last)
    return Positions(first_step, counts, start, kept, tuple(resumed), by_hand)


def _go_back(changes: list[_Change], step: int) -> None:
    """Takes back what came after a step.

    Where the run goes on with the indexes that it had all the same, as it does when it begins anew and keeps
    them, they count as of this step.
    """
    undone: dict[str, int] = {}
    while changes and changes[-1].step > step:
        change = changes.pop()
        undone.setdefault(change.key, change.after)
    changes += [_Change(step, key, None, after) for key, after in undone.items()]


def _by_sample(changes: Sequence[_Change], start: Mapping[str, int]) -> dict[str, list[tuple[int, int]]]:
    """The changes of each sample, those of one step as one, without those that change nothing."""
    last: dict[str, dict[int, int]] = {}
    for change in changes:
        last.setdefault(change.key, {})[change.step] = change.after
    kept: dict[str, list[tuple[int, int]]] = {}
    for key, by_step in last.items():
        before = start.get(key)
        for step, index in by_step.items():
            if index != before:
                kept.setdefault(key, []).append((step, index))
            before = index
    return kept


def _count(
    start: Mapping[str, int], changes: Mapping[str, Sequence[tuple[int, int]]], first: int, last: int
) -> numpy.ndarray:
    """Number of samples by index (rows) and step (columns)."""
    highest = max([0, *start.values(), *(index for way in changes.values() for _, index in way)])
    differences = numpy.zeros((highest + 1, last - first + 1), dtype=numpy.int64)
    for index, samples in Counter(start.values()).items():
        differences[index, 0] += samples
    for key, way in changes.items():
        before = start.get(key)
        for step, index in way:
            column = max(0, step - first)
            if before is not None:
                differences[before, column] -= 1
            differences[index, column] += 1
            before = index
    return differences.cumsum(axis=1)
