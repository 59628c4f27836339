"""Files of JSON objects, one a line: read strictly, added to whole lines at a time, mended after a kill."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from writing_rl.errors import DataError


class Digest(Protocol):
    """Takes in what is read, as those of `hashlib` do."""

    def update(self, data: bytes, /) -> None: ...


def read_json_lines(path: Path, digest: Digest | None = None) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The objects of a file, each with the number of its line, from 1; empty lines are left out.

    It is read line by line, as such files are large. All texts of an object can be encoded as UTF-8.

    Args:
        path: The file.
        digest: Takes in its content.

    Raises:
        DataError: The file cannot be read, or a line is not a JSON object in UTF-8, holds half of a character
            or one key twice; the message names it.
    """
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if digest:
                    digest.update(line)
                if line.strip():
                    yield number, _object(line, f"{path}, line {number}")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None


def whole_lines(content: bytes) -> list[bytes]:
    """The lines of a file's content, with their ends; a last line that a kill has torn is left out."""
    return content[: content.rfind(b"\n") + 1].splitlines(keepends=True)


def mend(path: Path) -> bool:
    """Takes a torn last line away, so that the next one begins a line of its own.

    Returns:
        Whether the file is there and a line is left.

    Raises:
        OSError: The file cannot be read or written.
    """
    try:
        with open(path, "rb+") as file:
            content = file.read()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                file.truncate(whole)
            return whole > 0
    except FileNotFoundError:
        return False


def append(path: Path, entries: Iterable[Mapping[str, Any]], *, sync: bool = False) -> None:
    """Adds lines to a file, which is made where it is missing: all of them or, on a full disk, none.

    Args:
        path: The file.
        entries: The objects. Half of a character becomes a question mark.
        sync: Whether the lines are on the disk when this returns.

    Raises:
        OSError: The file cannot be written; it is as it was.
    """
    content = "".join(f"{json.dumps(entry, ensure_ascii=False)}\n" for entry in entries)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        write_all(file, content.encode("utf-8", "replace"), path)
        if sync:
            os.fsync(file)
    finally:
        os.close(file)


def write_all(file: int, content: bytes, path: Path) -> None:
    """Writes at the end of an open file: everything, or nothing.

    Args:
        file: Its descriptor, opened for appending.
        content: What is added.
        path: The file, for the error.

    Raises:
        OSError: It cannot be written; it is as it was.
    """
    size = os.fstat(file).st_size
    try:
        while content:
            content = content[os.write(file, content) :]
    except OSError as error:
        with contextlib.suppress(OSError):
            os.ftruncate(file, size)
        raise OSError(error.errno, error.strerror, str(path)) from None


class _Twice(ValueError):
    """An object has a key twice."""


def _object(line: bytes, place: str) -> Mapping[str, Any]:
    try:
        # A file may begin with a mark of its encoding, and so does a part of one that was joined.
        text = line.decode("utf-8-sig")
        entry = json.loads(text, object_pairs_hook=_once)
    except _Twice as error:
        raise DataError(f"{place}: {error}") from None
    except ValueError as error:
        raise DataError(f"{place} is no JSON: {error}") from None
    except RecursionError:
        raise DataError(f"{place} is no JSON that can be read: it is nested too deeply") from None
    if not isinstance(entry, dict):
        raise DataError(f"{place} is no JSON object: write one JSON object a line")
    if "\\u" in text:  # the only way that half of a character gets into a text
        for name, value in entry.items():
            if not _is_unicode([name, value]):
                raise DataError(f"{place}: {name!r:.80} holds half of a character (a lone surrogate)")
    return entry


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different: of two values Python would take the last and say nothing."""
    entry = dict(pairs)
    if len(entry) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise _Twice(f"the key {name!r:.80} is there twice")
    return entry


def _is_unicode(value: Any) -> bool:
    """Whether all texts of a JSON value consist of whole characters."""
    left = [value]
    while left:
        value = left.pop()
        if isinstance(value, str):
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:
                return False
        elif isinstance(value, dict):
            left += value.keys()
            left += value.values()
        elif isinstance(value, list):
            left += value
    return True
