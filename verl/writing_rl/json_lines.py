"""Reading files of JSON objects, one a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from writing_rl.errors import DataError


class Digest(Protocol):
    """Takes in what is read, as those of `hashlib` do."""

    def update(self, data: bytes, /) -> None: ...


def read_json_lines(path: Path, digest: Digest | None = None) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The objects of a file, each with the number of its line, from 1; empty lines are left out.

    It is read line by line, as such files are large.

    Args:
        path: The file.
        digest: Takes in its content.

    Raises:
        DataError: The file cannot be read, or a line is no JSON object; the message names it.
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


def _object(line: bytes, place: str) -> Mapping[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place} is no JSON: {error}") from None
    if not isinstance(entry, dict):
        raise DataError(f"{place} is no JSON object: write one JSON object a line")
    return entry
