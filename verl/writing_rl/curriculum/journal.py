"""The journal of a curriculum: every change of every sample's reference, `index_<experiment>.jsonl`.

The first line is where it began; each other line is one change, or says that a run goes on from a checkpoint:

    {"step": 0, "why": "start", "indexes": {"0": 0, "1": 0}}
    {"step": 3, "id": "1", "from": 0, "to": 1, "why": "won"}
    {"step": 2, "why": "resumed"}

So every past state can be rebuilt. A step's lines are written before the index file is, and a kill may tear
the last line: such a line counts as not written.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from writing_rl.curriculum.index_file import write_index
from writing_rl.curriculum.state import Move
from writing_rl.errors import IndexFileError
from writing_rl.util.jsonl import append, mend


class Journal:
    """Appends to the journal beside an index file."""

    def __init__(self, index_file: str | Path) -> None:
        """Opens nothing yet.

        Args:
            index_file: The index file that it belongs to.
        """
        self._index_file = Path(index_file)
        self.path = journal_of(index_file)

    def begin(self, step: int, indexes: Mapping[str, int]) -> dict[str, int]:
        """Brings journal and index file together where a run begins with the file.

        Where there is no journal, it begins with the file. Where a kill came between the lines of a step and
        the index file, the file is completed. Any other difference was made by a person, and is noted so.

        Args:
            step: The step that the run begins with.
            indexes: What the index file holds.

        Returns:
            What it holds now.

        Raises:
            IndexFileError: The journal is damaged, or cannot be written.
        """
        if not self._mend():
            self._append([_start(step, indexes)])
            return dict(indexes)
        before, now = states_around_the_last_step(self.path)
        killed = self.path.stat().st_mtime_ns > self._index_file.stat().st_mtime_ns
        if killed and dict(indexes) == before != now:
            write_index(self._index_file, now)
            return now
        self.append(step, _moves(now, indexes, "manual"))
        return dict(indexes)

    def resume(self, step: int, indexes: Mapping[str, int]) -> None:
        """Notes that a run goes on from a checkpoint, whatever the index file holds by now.

        Args:
            step: The checkpoint's.
            indexes: What the checkpoint keeps.

        Raises:
            IndexFileError: The journal is damaged, or cannot be written.
        """
        if not self._mend():
            self._append([_start(step, indexes)])
            return
        moves = _moves(rebuild(read_journal(self.path)), indexes, "restored")
        self._append([{"step": step, "why": "resumed"}, *_lines(step, moves)])

    def append(self, step: int, moves: Iterable[Move]) -> None:
        """Notes the changes of a step; they are on the disk when this returns.

        Raises:
            IndexFileError: The journal cannot be written.
        """
        self._append(_lines(step, moves))

    def _append(self, entries: list[dict[str, object]]) -> None:
        if not entries:
            return
        try:
            append(self.path, entries, sync=True)
        except OSError as error:
            raise IndexFileError(f"{self.path} cannot be written: {error.strerror or error}") from error

    def _mend(self) -> bool:
        """Takes a torn last line away, so that the next one begins a line of its own.

        Returns:
            Whether a line is left.
        """
        try:
            return mend(self.path)
        except OSError as error:
            raise IndexFileError(f"{self.path} cannot be read: {error.strerror or error}") from error


def _start(step: int, indexes: Mapping[str, int]) -> dict[str, object]:
    return {"step": step, "why": "start", "indexes": dict(indexes)}


def _lines(step: int, moves: Iterable[Move]) -> list[dict[str, object]]:
    return [
        {"step": step, "id": move.key, "from": move.before, "to": move.after, "why": move.why}
        for move in moves
    ]


def _moves(before: Mapping[str, int], after: Mapping[str, int], why: str) -> list[Move]:
    """What leads from one state to another; a sample that is new comes from its first reference."""
    return [
        Move(key, before.get(key, 0), index, why) for key, index in after.items() if before.get(key) != index
    ]


def journal_of(index_file: str | Path) -> Path:
    """The journal's path: that of the index file with another ending."""
    return Path(index_file).with_suffix(".jsonl")


def read_journal(path: Path) -> list[dict[str, object]]:
    """The journal's entries; a torn last line is left out.

    Raises:
        IndexFileError: It cannot be read, or a line is damaged; the message names it, counted from 1.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise IndexFileError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    entries = []
    for number, line in enumerate(content.split("\n")[:-1], start=1):
        if (entry := _entry(line)) is None:
            raise IndexFileError(
                f"{path}, line {number} is damaged: move the file away, and a new journal begins with the "
                "index file as it is"
            )
        entries.append(entry)
    return entries


def _entry(line: str) -> dict[str, object] | None:
    """A line's entry, or None where it is damaged."""
    try:
        entry = json.loads(line)
        if entry["why"] == "start":
            sound = isinstance(entry["indexes"], dict)
        else:
            sound = entry["why"] == "resumed" or isinstance(entry["to"], int)
        return entry if sound and isinstance(entry["step"], int) else None
    except (ValueError, KeyError, TypeError):
        return None


def rebuild(entries: Sequence[Mapping[str, object]], until_step: int | None = None) -> dict[str, int]:
    """The state that a journal leads to.

    Args:
        entries: The journal's, in their order.
        until_step: The state after this step; None is the last one. A run that went back to an earlier step
            is followed the way it went, so the last time that it took this step counts.

    Returns:
        Index by sample key.
    """
    indexes: dict[str, int] = {}
    count = len(entries) if until_step is None else count_until(entries, until_step)
    for entry in itertools.islice(entries, count):
        if entry["why"] == "start":
            start = entry["indexes"]
            assert isinstance(start, dict)
            indexes = dict(start)
        elif "id" in entry:
            indexes[str(entry["id"])] = int(str(entry["to"]))
    return indexes


def count_until(entries: Sequence[Mapping[str, object]], step: int) -> int:
    """How many entries lead to the state after a step; of a step taken twice, after the second time."""
    count = len(entries)
    while count and int(str(entries[count - 1]["step"])) > step:
        count -= 1
    return count


def states_around_the_last_step(path: Path) -> tuple[dict[str, int], dict[str, int]]:
    """The states before and after the lines of the last step of a journal.

    Raises:
        IndexFileError: See `read_journal`.
    """
    entries = read_journal(path)
    if not entries:
        return {}, {}
    first = len(entries) - 1
    while first and entries[first - 1]["step"] == entries[-1]["step"]:
        first -= 1
    return rebuild(entries[:first]), rebuild(entries)
