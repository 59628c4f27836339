"""Reading files of JSON objects, one a line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
