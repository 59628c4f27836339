"""The reference index file `{"<sample id>": <index>, ...}`, which people may read and edit."""

from __future__ import annotations

import contextlib
import itertools
import json
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import orjson

from writing_rl.dataset.samples import Sample, SampleKeys
from writing_rl.errors import IndexFileError
from writing_rl.util.atomic_files import write_whole


def read_index(path: str | Path) -> dict[str, int]:
    """Reads an index file.

    Raises:
        IndexFileError: It is missing, is not JSON, or holds something else than ids with indexes from 0.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise IndexFileError(f"{path} does not exist: make it with writing-rl index create") from None
    except OSError as error:
        raise IndexFileError(f"{path} cannot be read: {error.strerror}") from None
    return parse_index(path, content)


def parse_index(path: str | Path, content: bytes) -> dict[str, int]:
    """Reads the content of an index file.

    Args:
        path: The file, for messages.
        content: What it holds.

    Raises:
        IndexFileError: It is not JSON, or holds something else than ids with indexes from 0.
    """
    try:
        indexes = _load(content)
    except (ValueError, RecursionError) as error:
        raise IndexFileError(
            f"{path} is not JSON ({error}): mend it, or start over with writing-rl index create --reset"
        ) from None
    if not isinstance(indexes, dict):
        raise IndexFileError(
            f"{path} must hold one JSON object of ids and indexes, not a {type(indexes).__name__}"
        )
    values = indexes.values()
    if set(map(type, values)) <= {int} and min(values, default=0) >= 0:  # at once, for a million of them
        return indexes
    for key, index in indexes.items():
        if type(index) is not int:  # `True` is an int, too
            raise IndexFileError(
                f"{path}, id {key}: the index is {json.dumps(index)}, it must be a whole number"
            )
        if index < 0:
            raise IndexFileError(f"{path}, id {key}: the index is {index}, the lowest is 0")
    return indexes


def _load(content: bytes) -> object:
    try:
        return orjson.loads(content)  # a third of the time of `json`, which counts with a million ids
    except ValueError:
        # `json` takes a little more, such as half a character in an id, and says better what is wrong.
        return json.loads(content.decode("utf-8"))


def check_index(path: str | Path, indexes: Mapping[str, int], references: Mapping[str, int]) -> None:
    """Checks the content of an index file against the data.

    Args:
        path: The file, for messages.
        indexes: Its content.
        references: How many references each sample of the training set has, by key.

    Raises:
        IndexFileError: An id that the data lacks, or an index past the sample's last reference.
    """
    with contextlib.suppress(KeyError):  # at once, for a million of them; below, one by one, what is wrong
        if all(map(operator.lt, indexes.values(), map(references.__getitem__, indexes))):
            return
    for key, index in indexes.items():
        if key not in references:
            raise IndexFileError(
                f"{path}, id {key}: the training data has no such sample; is this its index file?"
            )
        if index >= references[key]:
            raise IndexFileError(
                f"{path}, id {key}: the index is {index}, but the sample has {references[key]} reference(s), "
                f"so the highest is {references[key] - 1}"
            )


def write_index(path: str | Path, indexes: Mapping[str, int]) -> None:
    """Writes an index file so that it is whole at every moment, also through a kill or a full disk.

    Args:
        path: The file; its folder is made where it is missing.
        indexes: Index by sample key; written in the order of the keys as numbers.

    Raises:
        IndexFileError: The folder cannot be written to or is full; the old file is as it was.
    """
    with naming(path):
        write_whole(Path(path), bytes(IndexText(indexes)))


@contextlib.contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Turns what the system says of a file that cannot be written into an `IndexFileError` that names it."""
    try:
        yield
    except OSError as error:
        raise IndexFileError(f"{path} cannot be written: {error.strerror or error}") from error


class IndexText:
    """The content of an index file, brought up to date in place: writing a million lines takes a second."""

    def __init__(self, indexes: Mapping[str, int]) -> None:
        """The content for some indexes.

        Args:
            indexes: Index by sample key.
        """
        self._build(indexes)

    def _build(self, indexes: Mapping[str, int]) -> None:
        numbers, others = _in_order(indexes)
        lines = [f'"{key}": {indexes[key]}' for key in numbers]
        lines += [f"{json.dumps(key)}: {indexes[key]}" for key in others]
        self._text = bytearray(("{\n" + ",\n".join(lines) + "\n}\n").encode())
        # Where each line ends: two characters are before each of them.
        ends = itertools.accumulate(len(line) + 2 for line in lines)
        self._ends = dict(zip(itertools.chain(numbers, others), ends, strict=True))

    def __bytes__(self) -> bytes:
        return bytes(self._text)

    def update(self, indexes: Mapping[str, int], changed: Mapping[str, int]) -> None:
        """Brings the content up to date.

        Args:
            indexes: All indexes, new ones included.
            changed: The index that each changed sample had before, by key.
        """
        digits = {key: (str(before), str(indexes[key])) for key, before in changed.items()}
        if any(len(before) != len(after) for before, after in digits.values()):
            self._build(indexes)
            return
        for key, (_, after) in digits.items():
            end = self._ends[key]
            self._text[end - len(after) : end] = after.encode()


def _in_order(keys: Iterable[str]) -> tuple[list[str], list[str]]:
    """Keys that are numbers (of a length that Python reads), in their order, and all others."""
    numbers: list[str] = []
    others: list[str] = []
    for key in keys:
        (numbers if key.isascii() and key.isdigit() and len(key) < 1000 else others).append(key)
    return sorted(numbers, key=int), sorted(others)


def read_fitting_index(path: str | Path, samples: Sequence[Sample], keys: SampleKeys) -> dict[str, int]:
    """Reads an index file that belongs to a training set and covers it.

    Args:
        path: The index file.
        samples: The training set.
        keys: Which number names its samples.

    Returns:
        The index of each sample, by key.

    Raises:
        IndexFileError: The file cannot be used, does not belong to the data, or lacks samples.
    """
    references = {keys.key(sample.id, sample.index): len(sample.references) for sample in samples}
    indexes = read_index(path)
    check_index(path, indexes, references)
    missing = [key for key in references if key not in indexes]
    if missing:
        raise IndexFileError(
            f"{path} lacks {len(missing)} of {len(references)} samples, the first is id "
            f"{missing[0]}: complete it with writing-rl index create"
        )
    return indexes
