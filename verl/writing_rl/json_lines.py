"""Reading a file of JSON lines that a person has made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from writing_rl.errors import DataError


def read_json_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The objects of a file, each with the number of its line, from 1; empty lines are left out.

    Raises:
        DataError: The file cannot be read, or a line is no JSON object; the message names it.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number} is no JSON: {error}") from None
        if not isinstance(entry, dict):
            raise DataError(f"{path}, line {number} is no JSON object: write one JSON object a line")
        yield number, entry
