"""How an experiment's samples came where they are, as its journal tells it, in lines to print."""

from __future__ import annotations

import heapq
import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from writing_rl.curriculum.journal import count_until, journal_of, read_journal
from writing_rl.errors import IndexFileError

#: Lines of a list of samples, where not all are asked for.
MOST_LINES = 50

_PLAIN = re.compile(r"[\w./+-]+")

Entries = Sequence[Mapping[str, Any]]


class Change(NamedTuple):
    """A sample's change of index.

    Attributes:
        key: The sample.
        before: Its index before; None where it had none.
        after: Its index after; None where it has none.
        why: As in the journal.
        step: The training step.
    """

    key: str
    before: int | None
    after: int | None
    why: str = ""
    step: int = 0

    def __str__(self) -> str:
        before, after = ("none" if index is None else index for index in (self.before, self.after))
        return f"{shown(self.key)}: {before} -> {after}"


def shown(key: str) -> str:
    """A sample's key as people read it: an odd one, such as one with a line break, as a JSON string."""
    return key if _PLAIN.fullmatch(key) else json.dumps(key)


def parse_key(text: str) -> str:
    """The key that a person means: the text itself, or what it says where it is a JSON string in quotes."""
    if text.startswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            pass
    return text


def listed(changes: Sequence[Change], most: int | None = MOST_LINES) -> Iterator[str]:
    """One line for each change, sorted by number.

    Args:
        changes: The changes.
        most: At most so many; another line says how many are left out. None: all.
    """
    most = len(changes) if most is None else most
    # The order of the index file, also for numbers that are too long for int().
    yield from map(str, heapq.nsmallest(most, changes, key=lambda change: _number(change.key)))
    if len(changes) > most:
        yield f"... and {len(changes) - most} more"


def _number(key: str) -> tuple[int, int, str]:
    if key.isascii() and key.isdigit():
        digits = key.lstrip("0")
        return 0, len(digits), digits
    return 1, 0, key


def read_entries(index_file: Path) -> Entries:
    """The entries of an index file's journal; there is one, and every one of them is sound.

    Raises:
        IndexFileError: There is no journal, or it is empty or damaged.
    """
    path = journal_of(index_file)
    if not path.exists():
        raise IndexFileError(f"{path} does not exist: a training makes it when it starts")
    entries = read_journal(path)
    if not entries:
        raise IndexFileError(f"{path} is empty: a training begins it when it starts")
    for number, entry in enumerate(entries, start=1):
        if not _is_sound(entry):
            raise IndexFileError(f"{path}, line {number} is damaged: mend it, or move the file away")
    return entries


def _is_sound(entry: Mapping[str, Any]) -> bool:
    """What reading a journal does not see to."""
    why = entry["why"]
    if why == "start":
        return all(type(index) is int for index in entry["indexes"].values())
    return why == "resumed" or (
        type(entry["to"]) is int
        and type(entry.get("from")) is int
        and isinstance(entry.get("id"), str)
        and isinstance(why, str)
    )


def entries_until(entries: Entries, step: int, index_file: Path) -> Entries:
    """The entries that lead to the state after a step: of a step taken twice, to that after the second time.

    Args:
        entries: All entries of the journal.
        step: The step.
        index_file: The index file, for messages.

    Raises:
        IndexFileError: The journal begins later.
    """
    count = count_until(entries, step)
    if not count:
        raise IndexFileError(
            f"{journal_of(index_file)} has no state after step {step}: it begins with step "
            f"{entries[0]['step']}"
        )
    return entries[:count]


def changes_of(entries: Entries, keys: Collection[str]) -> list[Change]:
    """The changes of some samples, in the journal's order; where it begins counts as a change from none."""
    wanted = dict.fromkeys(keys)
    changes = []
    for entry in entries:
        if entry["why"] == "start":
            indexes = entry["indexes"]
            changes += [
                Change(key, None, indexes[key], "start", entry["step"]) for key in wanted if key in indexes
            ]
        elif entry.get("id") in wanted:
            changes.append(_change(entry))
    return changes


def _change(entry: Mapping[str, Any]) -> Change:
    return Change(entry["id"], entry["from"], entry["to"], entry["why"], entry["step"])


def _why(change: Change) -> str:
    return "by hand" if change.why == "manual" else shown(change.why)


def sample_lines(
    source: Path,
    indexes: Mapping[str, int],
    keys: Sequence[str],
    entries: Entries,
    references: Mapping[str, int],
) -> list[str]:
    """One line for each of some samples: where it stands, and how it came there.

    Args:
        source: Where the indexes are from, for messages.
        indexes: The index of each sample, by key.
        keys: The samples.
        entries: The journal's; none where there is no journal.
        references: How many references each sample has, by key, as far as that is known.

    Raises:
        IndexFileError: There is no such sample.
    """
    for key in keys:
        if key not in indexes:
            raise IndexFileError(f"{source}, id {shown(key)}: no such sample: name one that it holds")
    paths: dict[str, list[Change]] = defaultdict(list)
    for change in changes_of(entries, keys):
        paths[change.key].append(change)
    lines = []
    for key in keys:
        way = [f"{change.after} at step {change.step} ({_why(change)})" for change in paths[key]]
        if not way:
            way = ["not in the journal"]
        elif paths[key][-1].after != indexes[key]:
            way.append(f"{indexes[key]} (not in the journal)")
        highest = f" of 0 to {references[key] - 1}" if key in references else ""
        lines.append(f"{shown(key)}: {indexes[key]}{highest}; {' -> '.join(way)}")
    return lines


def change_lines(index_file: Path, entries: Entries, keys: Collection[str]) -> list[str]:
    """Every change of some samples, one a line.

    Raises:
        IndexFileError: The journal knows no such sample.
    """
    changes = changes_of(entries, keys)
    known = {change.key for change in changes}
    for key in keys:
        if key not in known:
            raise IndexFileError(
                f"{journal_of(index_file)}, id {shown(key)}: no such sample: name one that it holds"
            )
    return [f"step {change.step}, {change} ({_why(change)})" for change in changes]


def step_lines(entries: Entries) -> Iterator[str]:
    """What every step did, one a line; a run that went back takes some steps more than once."""
    step: int | None = None
    events: list[str] = []
    counts: Counter[str] = Counter()
    for entry in entries:
        why = entry["why"]
        if (events or counts) and (entry["step"] != step or why == "resumed"):
            yield _step_line(step, events, counts)
            events, counts = [], Counter()
        step = entry["step"]
        if why == "start":
            events.append(f"begun with {len(entry['indexes'])} samples")
        elif why == "resumed":
            events.append("resumed from a checkpoint")
        elif why == "manual":
            counts["by hand"] += 1
        elif why == "restored":
            counts["restored"] += 1
        else:
            counts["up" if entry["to"] > entry["from"] else "down"] += 1
    if events or counts:
        yield _step_line(step, events, counts)


def _step_line(step: int | None, events: Sequence[str], counts: Mapping[str, int]) -> str:
    kinds = ("up", "down", "by hand", "restored")
    return f"step {step}: " + ", ".join(
        [*events, *(f"{counts[kind]} {kind}" for kind in kinds if kind in counts)]
    )
