"""Where the curriculum of an untrained model begins, when an index file of an earlier run is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from writing_rl.curriculum.journal import journal_of, read_journal, rebuild
from writing_rl.curriculum.rules import Existing
from writing_rl.curriculum.state import Saved
from writing_rl.errors import SettingError

SETTING = "writing_rl.curriculum.existing_index"


def check_beginning(
    index_file: str | Path, existing: Existing, indexes: Mapping[str, int], starts: Mapping[str, int]
) -> None:
    """A run that is told not to resume is told what to do with an index file that has moved on.

    Args:
        index_file: For messages.
        existing: The setting.
        indexes: What the file holds.
        starts: The index that each sample starts with, by key.

    Raises:
        SettingError: It is not.
    """
    moved = sum(indexes.get(key, start) != start for key, start in starts.items())
    if existing is Existing.ASK and moved:
        raise SettingError(
            f"trainer.resume_mode=disable starts with an untrained model, but in {index_file} {moved} of "
            f"{len(starts)} samples have moved on: set {SETTING} to keep or to reset"
        )


def beginning(
    index_file: str | Path, existing: Existing, starts: Mapping[str, int], *, resumes: bool
) -> Saved | None:
    """The state that the curriculum of an untrained model begins with.

    Args:
        index_file: The index file.
        existing: What becomes of it.
        starts: The index that each sample starts with, by key.
        resumes: Whether the run would have gone on from a checkpoint, had there been one: an earlier start
            was ended before its first one, and what its curriculum came to is of no use.

    Returns:
        The state, or None: what the file holds.

    Raises:
        IndexFileError: The journal is damaged.
    """
    if existing is Existing.RESET:
        return Saved(starts)
    journal = journal_of(index_file)
    if existing is Existing.KEEP or not resumes or not journal.is_file():
        return None
    entries = read_journal(journal)
    if not entries or all(entry["step"] == 0 for entry in entries):
        return None
    return Saved(rebuild(entries, 0))
