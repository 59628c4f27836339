"""Reading the fields of what people give as JSON, CSV or parquet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from writing_rl.errors import DataError
from writing_rl.util.redact import printable


def shown(value: Any) -> str:
    """A value in a message: its beginning, whatever it is."""
    try:
        return printable(repr(value), 80)
    except RecursionError:  # what has just been read may be nested too deeply to be written
        return f"a deeply nested {type(value).__name__}"


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
        raise DataError(f"{where}: {name!r} is {shown(value)}, it must be a text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(f"{where}: {name!r} holds half of a character (a lone surrogate)") from None
    return value


def optional_text(entry: Mapping[str, Any], name: str, where: str) -> str | None:
    """A field that may be missing, null or NaN, as pandas writes null; arguments and errors of `text_of`."""
    value = entry.get(name)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return text_of(entry, name, where)
