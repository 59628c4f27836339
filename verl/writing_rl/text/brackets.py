"""Tokens in double brackets, in which a judge gives its verdict or its grades. Pure functions.

A judge that writes in another language than the instructions may use that language's letters and brackets,
and one that writes Markdown may escape or emphasize them. What can only be meant as a token is one. Letters
of other alphabets that look like A, B or C are not read: to a Russian judge, "В" may be the second letter
or the third.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from writing_rl.text.thinking import said

_OPENING, _CLOSING = "［【〖〔﹝⦋❲", "］】〗〕﹞⦌❳"
_DOUBLE_OPENING, _DOUBLE_CLOSING = "⟦〚", "⟧〛"
# Zero-width characters, marks of direction and variation selectors show nothing.
_INVISIBLE = (
    *(0xAD, 0x61C, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070)),
    *range(0xFE00, 0xFE10),
)
# A table, for normalizing a text takes quadratic time where combining marks follow each other.
_PLAIN = {
    **{chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},
    **{chr(code): unicodedata.normalize("NFKC", chr(code)) for code in range(0x1D400, 0x1D800)},
    **dict.fromkeys(_OPENING, "["),
    **dict.fromkeys(_CLOSING, "]"),
    **dict.fromkeys(_DOUBLE_OPENING, "[["),
    **dict.fromkeys(_DOUBLE_CLOSING, "]]"),
    **dict.fromkeys(map(chr, _INVISIBLE), ""),
}
# In a text without such characters, this takes a tenth of the time of `str.translate`.
_OTHER = re.compile(
    rf"[{_OPENING}{_CLOSING}{_DOUBLE_OPENING}{_DOUBLE_CLOSING}\uff01-\uff5e\U0001d400-\U0001d7ff"
    r"\xad\u061c\ufeff\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f]"
)
#: What may stand between the brackets and what they hold: space and emphasis.
_PAD = r"[\s*_`]*"

VERDICT = re.compile(rf"\[\[{_PAD}([ABC]){_PAD}\]\]")
_NUMBER = r"\d{1,2}(?:\.\d{1,3})?"
#: Commas of several scripts.
COMMA = re.compile(r"[,、;]")
GRADES = re.compile(rf"\[\[{_PAD}({_NUMBER}(?:\s*{COMMA.pattern}\s*{_NUMBER})*){_PAD}\]\]")


def last_lines(answer: str) -> Iterator[str]:
    """The lines of a judge's answer outside of its thinking, the last first, with tokens in plain form."""
    text = said(plain(answer)).replace("\\[", "[").replace("\\]", "]")
    return reversed(text.splitlines())


def plain(text: str) -> str:
    """A text with full-width and mathematical characters as ASCII has them, and without invisible ones."""
    return text if text.isascii() else _OTHER.sub(lambda character: _PLAIN[character[0]], text)
