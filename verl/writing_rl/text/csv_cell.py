"""Texts from outside as cells of CSV that spreadsheets open without running anything. Pure functions."""

from __future__ import annotations

import re
import unicodedata

from writing_rl.util.redact import printable

#: What may stand before a formula: white space, quotes, and what nobody sees.
_BEFORE = re.compile(
    r"^[\s\"'`\u2018-\u201f\x00-\x1f\x7f-\xa0\xad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]+"
)
#: What a formula begins with, in the width that any of them is written in.
_FORMULA = ("=", "+", "-", "@")
#: Behind these some spreadsheets begin a cell anew.
_BREAKS = ("\t", "\r", "\n")


def cell(text: str) -> str:
    """A text as a cell: on one line, without control characters, and never a formula.

    Spreadsheets take what follows an apostrophe for a text.

    Args:
        text: Any.
    """
    begin = unicodedata.normalize("NFKC", _BEFORE.sub("", text)[:1])
    is_formula = begin in _FORMULA or text[:1] in _BREAKS
    return f"'{printable(text)}" if is_formula else printable(text)
