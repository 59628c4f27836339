"""Two texts on a terminal, in columns or one below the other. Pure functions.

Texts of models are hostile: what a terminal would take for a command is left out of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import zip_longest

#: What a column has at least; a terminal that is too narrow for two shows one text below the other.
NARROWEST = 36
BETWEEN = " | "
TAB = 4

#: What a terminal obeys: CSI, then OSC and other strings with their end, then shorter ones. A string without
#: its end loses its beginning alone; it ends where another begins, so that none is read twice.
_COMMAND = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x80-\x9f\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-Z\\^-~]?"
)
_LINE_BREAK = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
#: Joiners, which scripts and emoji need; other format characters are invisible or turn text around.
_JOINERS = "\u200c\u200d"
#: East Asian punctuation that does not begin a line.
_CLOSING = frozenset("、。，．：；！？）」』】〕〉》〗”’…")


def clean(text: str) -> str:
    """A text without control characters and terminal commands; lines end in `\\n`."""
    text = _LINE_BREAK.sub("\n", _COMMAND.sub("", text)).expandtabs(TAB)
    return "".join(char for char in text if char == "\n" or _is_shown(char))


def width_of(text: str) -> int:
    """The columns that a text takes on a terminal: two for a wide character, none for a mark on another."""
    return sum(map(_width, text))


def wrap(text: str, width: int) -> list[str]:
    """Breaks a text into lines.

    Words are kept whole where they fit; between East Asian characters a line may end anywhere.

    Args:
        text: Cleaned.
        width: Columns, at least 2.
    """
    return [part for line in text.split("\n") for part in _wrapped(line, width)]


def show(titles: tuple[str, str], texts: tuple[str, str], width: int) -> str:
    """Two texts beside each other where there is room, else below each other.

    Args:
        titles: What stands above them.
        texts: The texts, as they were written.
        width: Columns of the terminal.
    """
    column = (width - len(BETWEEN)) // 2
    names, bodies = [clean(title) for title in titles], [clean(text).strip("\n") for text in texts]
    if column < NARROWEST:
        width = max(width, 2)
        blocks = [
            "\n".join((*(heads := wrap(name, width)), "-" * max(map(width_of, heads)), *wrap(body, width)))
            for name, body in zip(names, bodies, strict=True)
        ]
        return "\n\n".join(blocks)
    heads = _beside([wrap(name, column) for name in names], column)
    rule = "-" * column
    return "\n".join(
        (*heads, rule + BETWEEN + rule, *_beside([wrap(body, column) for body in bodies], column))
    )


def indented(text: str, width: int, by: str = "    ") -> str:
    """A text, cleaned and wrapped, a little to the right."""
    return "\n".join(f"{by}{line}".rstrip() for line in wrap(clean(text).strip(), max(2, width - len(by))))


def _beside(columns: list[list[str]], width: int) -> list[str]:
    lines = zip_longest(*columns, fillvalue="")
    return [(left + " " * (width - width_of(left)) + BETWEEN + right).rstrip() for left, right in lines]


def _wrapped(line: str, width: int) -> list[str]:
    """The lines that one line becomes; an empty one stays."""
    lines, current, taken = [], "", 0
    for piece in _pieces(line):
        columns = width_of(piece)
        if taken + columns > width:
            if taken:
                lines.append(current.rstrip())
                current, taken = "", 0
            if piece.isspace():
                continue  # none at the beginning of the next line
            # With marks that had no letter to stand on. Longer than a line, it is broken anywhere.
            *full, piece = _filling(current + piece, width)
            lines += full
            current, columns = "", width_of(piece)
        current, taken = current + piece, taken + columns
    return [*lines, current.rstrip()] if current.strip() or not lines else lines


def _pieces(line: str) -> Iterator[str]:
    """What a line is not broken within: words, spaces, wide characters with the punctuation after them."""
    begin = 0
    for at in range(1, len(line)):
        first, char = line[begin], line[at]
        if first.isspace():
            joins = char.isspace()
        else:
            joins = (
                _width(char) == 0
                or char in _CLOSING
                or (not char.isspace() and _width(char) == 1 and _width(first) == 1)
            )
        if not joins:
            yield line[begin:at]
            begin = at
    if line:
        yield line[begin:]


def _filling(piece: str, width: int) -> Iterator[str]:
    """The parts of a piece that each fill a line, and what is left."""
    begin = taken = 0
    for at, char in enumerate(piece):
        columns = _width(char)
        if taken + columns > width and at > begin:
            yield piece[begin:at]
            begin, taken = at, 0
        taken += columns
    yield piece[begin:]


def _width(char: str) -> int:
    if char.isascii():
        return 1
    if unicodedata.category(char) in ("Mn", "Me", "Cf") or "\u1160" <= char <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _is_shown(char: str) -> bool:
    return unicodedata.category(char) not in ("Cc", "Cf", "Cs") or char in _JOINERS
