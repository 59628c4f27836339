"""Reading the fields of what people give as JSON, CSV or parquet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from writing_rl.errors import DataError


def text_of(entry: Mapping[str, Any], name: str, where: str) -> str:
    """A field that must be a text.

    Args:
        entry: The line or row.
        name: Of the field.
        where: File and line, for messages.

    Raises:
        DataError: It is missing or no text.
    """
    if name not in entry:
        raise DataError(f"{where}: {name!r} is missing")
    value = entry[name]
    if not isinstance(value, str):
        raise DataError(f"{where}: {name!r} is {value!r:.80}, it must be a text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        # JSON can write half of a character (`\ud83d`), parquet cannot.
        raise DataError(f"{where}: {name!r} holds half of a character (a lone surrogate)") from None
    return value


def optional_text(entry: Mapping[str, Any], name: str, where: str) -> str | None:
    """A field that may be missing or null; arguments and errors as those of `text_of`."""
    return None if entry.get(name) is None else text_of(entry, name, where)
