"""Looking at the states of a curriculum and changing one by hand: what `writing-rl index` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from writing_rl.curriculum.checkpoint import INDEX_FILE
from writing_rl.curriculum.create import Starts
from writing_rl.curriculum.edit_lock import edit_lock_of, editing
from writing_rl.curriculum.history import Change, Entries, entries_until, read_entries, shown
from writing_rl.curriculum.index_file import read_index, write_index
from writing_rl.curriculum.journal import rebuild
from writing_rl.errors import IndexFileError

#: Characters of the longest bar.
BAR_WIDTH = 40
#: Digits of a step; Python refuses to read numbers with thousands of them.
LONGEST_STEP = 18


@dataclass(frozen=True)
class Data:
    """A training set.

    Attributes:
        path: The file, for messages.
        references: How many references each of its samples has, by key.
    """

    path: Path
    references: Mapping[str, int]

    @classmethod
    def read(cls, path: Path) -> Data:
        """Reads a training set.

        Raises:
            DataError: It cannot be used.
        """
        return cls(path, Starts.from_data(path).references or {})


def distribution(title: str, indexes: Mapping[str, int], data: Data | None) -> Iterator[str]:
    """Lines that say how many samples stand where.

    Args:
        title: What state it is.
        indexes: The index of each sample, by key.
        data: The training set, where it is known.
    """
    if not indexes:
        yield f"{title}: no samples"
        return
    counts = Counter(indexes.values())
    most = max(counts.values())
    wide, count_wide = max(len("index"), len(str(max(counts)))), max(len("samples"), len(str(most)))
    yield f"{title}: {len(indexes)} samples, mean index {sum(indexes.values()) / len(indexes):.2f}"
    yield f"{'index':>{wide}}  {'samples':>{count_wide}}"
    for index in sorted(counts):
        bar = "#" * max(1, round(BAR_WIDTH * counts[index] / most))
        yield f"{index:>{wide}}  {counts[index]:>{count_wide}}  {bar}"
    if data is not None:
        last = [data.references[key] - 1 == index for key, index in indexes.items() if key in data.references]
        share = f" ({sum(last) / len(last):.0%})" if last else ""
        yield f"at their last reference: {sum(last)} of {len(last)}{share}"
        if len(last) < len(indexes):
            yield f"not in {data.path}: {len(indexes) - len(last)}"


def set_by_hand(
    index_file: Path,
    wanted: Mapping[str, int] | int,
    data: Data | None,
    *,
    dry_run: bool = False,
    wait_s: float = 5.0,
) -> list[Change]:
    """Changes an index file as a person has it; a run that is going on notes the edit by itself.

    Args:
        index_file: The index file.
        wanted: The new index of each sample to be changed, by key; or one for all that the file holds.
        data: The training set, where it is known.
        dry_run: Whether to write nothing.
        wait_s: For how long, in seconds, to wait at most for others who write the file.

    Returns:
        What is changed; samples that stand there already are left out.

    Raises:
        IndexFileError: The file cannot be used or written, or a sample or an index is not possible; nothing
            is written.
    """
    if dry_run or not index_file.exists():  # where there is no file, none for the lock is made either
        return _changes(index_file, read_index(index_file), wanted, data)
    with editing(index_file, wait_s) as held:
        if not held:
            raise IndexFileError(
                f"{index_file} is being written by another process, or {edit_lock_of(index_file).name} "
                "beside it cannot be locked: try again"
            )
        indexes = read_index(index_file)
        changes = _changes(index_file, indexes, wanted, data)
        if changes:
            write_index(index_file, {**indexes, **{change.key: change.after or 0 for change in changes}})
    return changes


def _changes(
    index_file: Path, indexes: Mapping[str, int], wanted: Mapping[str, int] | int, data: Data | None
) -> list[Change]:
    """What a person's wish changes; see `set_by_hand`."""
    if isinstance(wanted, int):
        wanted = dict.fromkeys(indexes, wanted)
    for key, index in wanted.items():
        place = f"{index_file}, id {shown(key)}"
        if data is None and key not in indexes:
            raise IndexFileError(
                f"{place}: no such sample: name one that the file holds, or the training set with --data"
            )
        if data is not None and key not in data.references:
            raise IndexFileError(
                f"{place}: {data.path} has no such sample: name one that it has, or the experiment's "
                "training set with --data"
            )
        if index < 0:
            raise IndexFileError(f"{place}: the index would be {index}, the lowest is 0")
        if data is not None and index >= data.references[key]:
            raise IndexFileError(
                f"{place}: the index would be {index}, but the sample has {data.references[key]} "
                f"reference(s), so the highest is {data.references[key] - 1}"
            )
    return [
        Change(key, indexes.get(key), index) for key, index in wanted.items() if indexes.get(key) != index
    ]


def read_states(names: Sequence[str], index_file: Path) -> list[dict[str, int]]:
    """States that a person names.

    Args:
        names: For each an index file, a checkpoint's folder, or the number of a step.
        index_file: The experiment's index file, whose journal knows the steps.

    Returns:
        For each the index of each sample, by key.

    Raises:
        IndexFileError: There is no such state, or its file cannot be used.
    """
    entries: Entries = []
    states = []
    for name in names:
        if name.isascii() and name.isdigit() and len(name) <= LONGEST_STEP:
            entries = entries or read_entries(index_file)  # once: a long journal takes seconds
            states.append(rebuild(entries_until(entries, int(name), index_file)))
        else:
            states.append(_read_state(Path(name), index_file))
    return states


def _read_state(path: Path, index_file: Path) -> dict[str, int]:
    if path.is_dir():
        if not (path / INDEX_FILE).exists():
            raise IndexFileError(f"{path} holds no {INDEX_FILE}: name a checkpoint's folder, global_step_...")
        return read_index(path / INDEX_FILE)
    if not path.exists() and path != index_file:
        raise IndexFileError(f"{path} does not exist: name an index file, a checkpoint's folder or a step")
    return read_index(path)


def difference(before: Mapping[str, int], after: Mapping[str, int]) -> list[Change]:
    """The samples that two states have at different indexes, or that only one of them has."""
    changes = [Change(key, index, after.get(key)) for key, index in before.items() if after.get(key) != index]
    return changes + [Change(key, None, index) for key, index in after.items() if key not in before]


def summary(changes: list[Change]) -> str:
    """How many samples a difference has, by its kind, in one line."""
    up = down = only_a = only_b = 0
    for _, before, after, *_ in changes:
        if after is None:
            only_a += 1
        elif before is None:
            only_b += 1
        elif after > before:
            up += 1
        else:
            down += 1
    return f"{up} up, {down} down, {only_a} only in A, {only_b} only in B"
