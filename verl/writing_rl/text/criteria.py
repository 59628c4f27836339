"""How many criteria a text lists, which is how many grades a judge must give. Pure functions."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

_CHINESE = {digit: value for value, digit in enumerate("一二三四五六七八九十", start=1)}
_LABEL = r"(?:criterion|aspect|dimension|标准|维度|准则|指标|要求|方面)\s?"


class _Style(NamedTuple):
    """A way to number things.

    Attributes:
        marker: What stands before each; the group is its number.
        value: The number as an integer, or None.
        inline: Whether prose hardly holds such a marker, so that a list may stand within a line.
    """

    marker: str
    value: Callable[[str], int | None]
    inline: bool


def _chinese(text: str) -> int | None:
    """Numbers from 一 to 九十九."""
    tens, ten, ones = text.rpartition("十")
    if any(character not in _CHINESE for character in tens + ones):
        return None
    return (_CHINESE.get(tens, 1) * 10 if ten else 0) + _CHINESE.get(ones, 0) or None


def _digits(text: str) -> int:
    return int(text)


def _letter(text: str) -> int:
    return ord(text.lower()) - ord("a") + 1


def _circled(text: str) -> int:
    first = next(first for first in (0x2460, 0x2474, 0x2488, 0x2776, 0x278A) if 0 <= ord(text) - first < 20)
    return ord(text) - first + 1


_NUMBER = r"(\d{1,2})"
_HAN = r"([一二三四五六七八九十]{1,3})"
_STYLES = (
    _Style(r"[(（\[【]\s?" + _NUMBER + r"\s?[)）\]】]", _digits, True),
    _Style(r"([\u2460-\u249b\u2776-\u2793])", _circled, True),
    _Style(r"[(（]" + _HAN + r"[)）]", _chinese, True),
    _Style(_LABEL + _NUMBER + r"\s?[:：.、)）-]", _digits, True),
    _Style(_LABEL + _HAN + r"\s?[:：.、]", _chinese, True),
    _Style(r"第" + _HAN + r"[,，、:：.]", _chinese, True),
    _Style(_NUMBER + r"(?:[.)]\s|[.．]\s?(?!\d)|[、）])", _digits, False),
    _Style(_HAN + r"[、.．:：]", _chinese, False),
    _Style(r"[(（]([A-Za-z])[)）]", _letter, True),
    _Style(r"([A-Za-z])[.)]\s", _letter, False),
)
_EMPHASIS = r"(?:[*_#>`]{1,6}\s{0,3}){0,3}"
_BULLET = re.compile(r"(?:[-*+](?=\s)|[•·●○▪▫‣◦–—➤◆■□])")
_LINE = [re.compile(_EMPHASIS + style.marker, re.IGNORECASE) for style in _STYLES]
_ANYWHERE = [
    re.compile(("" if style.inline else r"(?<![\w.])") + style.marker, re.IGNORECASE) for style in _STYLES
]


def count_criteria(criteria: str) -> int | None:
    """Counts the entries of a list: numbered in one of many ways, with bullets, or a list of JSON.

    Entries within entries are not counted where they are set in, or are marked in another way.

    Args:
        criteria: What to grade by, in a user's words.

    Returns:
        How many; None where that cannot be told.
    """
    if criteria.lstrip().startswith("["):
        try:
            entries = json.loads(criteria)
        except (ValueError, RecursionError):
            pass
        else:
            return len(entries) or None
    lines = [
        (len(line) - len(line.lstrip()), line.lstrip())
        for line in criteria.expandtabs(4).splitlines()
        if not line.isspace() and line
    ]
    numbered = [
        _Entry(indent, *marker, line) for indent, line in lines if (marker := _marker(line)) is not None
    ]
    bullets = [indent for indent, line in lines if _BULLET.match(line)]
    if bullets and min(bullets) < min((entry.indent for entry in numbered), default=math.inf):
        return bullets.count(min(bullets))
    if not numbered:
        return _within(criteria, range(len(_STYLES)))
    first = min(numbered, key=lambda entry: entry.indent)
    entries = [entry for entry in numbered if entry[:2] == first[:2]]
    numbers = [entry.number for entry in entries]
    if len(numbers) == 1 and 2 in _values(first.line, first.style):
        return _within(first.line, [first.style])
    # Markdown counts by itself, so all may be 1.
    return len(numbers) if numbers in ([1] * len(numbers), list(range(1, len(numbers) + 1))) else None


class _Entry(NamedTuple):
    """A line that begins with a number.

    Attributes:
        indent: White space before it.
        style: How it is numbered, an index of `_STYLES`.
        number: Its number.
        line: The line without that white space.
    """

    indent: int
    style: int
    number: int
    line: str


def _marker(line: str) -> tuple[int, int] | None:
    """The style and the number that a line begins with."""
    for style, pattern in enumerate(_LINE):
        # A marker at the end of the line has lost its space.
        if (match := pattern.match(f"{line} ")) and (number := _STYLES[style].value(match[1])):
            return style, number
    return None


def _values(text: str, style: int) -> list[int | None]:
    return [_STYLES[style].value(match[1]) for match in _ANYWHERE[style].finditer(f"{text} ")]


def _within(text: str, styles: Iterable[int]) -> int | None:
    """Counts a list that stands within lines, whose numbers must follow each other from 1.

    Args:
        text: The text.
        styles: The ways of numbering to look for.
    """
    for style in styles:
        numbers = _values(text, style)
        # Prose may hold "in chapter 2. Then"; three that follow each other are a list.
        least = 2 if _STYLES[style].inline else 3
        if len(numbers) >= least and numbers == list(range(1, len(numbers) + 1)):
            return len(numbers)
    return None
