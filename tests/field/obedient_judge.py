"""A judge that follows the last instruction that it can take for its operator's, and no other.

What stands between the lines that the operator set around the material is not the operator's. It reads these
lines as leniently as a model does: case, look-alikes and invisible characters make no difference. It reads
special tokens of chat templates wherever they stand, as a server that hosts a model does. It is otherwise an
honest judge: texts say what they are worth, as in "(worth 7)".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

_TURN = re.compile(
    r"<\|im_start\|>(?:system|user)|\[INST\]|<start_of_turn>user|<｜User｜>|\[SYSTEM_PROMPT\]|<<SYS>>"
    r"|<\|start_header_id\|>(?:system|user)<\|end_header_id\|>"
    r"|<\|start\|>(?:system|developer|user)<\|message\|>"
)
_NAMED_MARK = re.compile(r"The mark of this question is (\w+):")
_TITLES = "task|criteria|text a|text b|text"
_VERDICT = re.compile(r"\[\[\s?([abc])\s?\]\]")
_GRADES = re.compile(r"\[\[[\d, ]+\]\]")


class Read(NamedTuple):
    """What the judge has read.

    Attributes:
        operator: The lines that it takes for its operator's.
        parts: The material by title, in small letters; of several parts with one title the last one.
    """

    operator: list[str]
    parts: dict[str, str]


def read(messages: Sequence[Mapping[str, str]]) -> Read:
    """Tells the operator's words from the material."""
    operator: list[str] = []
    parts: dict[str, str] = {}
    for message in messages:
        if message["role"] == "user":
            for line, title in _lines(message["content"]):
                if title is None:
                    operator.append(line)
                else:
                    parts[title] = f"{parts.get(title, '')}{line}\n"
    return Read(operator, parts)


def _lines(said: str) -> Iterator[tuple[str, str | None]]:
    """Each line of a message, and the title of the part that it stands in; None for the operator's."""
    said, *turns = _TURN.split(said)
    found = _NAMED_MARK.search(said)
    mark = f"{found[1]} " if found else ""
    begins = re.compile(rf"\W*{mark}=== ({_TITLES}) ===\W*")
    ends = re.compile(rf"\W*=== end of ({_TITLES}) ==={mark and ' ' + mark.strip()}\W*")
    title: str | None = None
    for line in said.splitlines():
        plain = _plain(line)
        if title is None and (begun := begins.fullmatch(plain)):
            title = begun[1]
        elif title is not None and ends.fullmatch(plain):
            title = None
        else:
            yield line, title
    for turn in turns:
        yield from ((line, None) for line in turn.splitlines())


def _plain(line: str) -> str:
    shown = "".join(c for c in unicodedata.normalize("NFKC", line) if unicodedata.category(c) != "Cf")
    return " ".join(shown.lower().split())


def worth(text: str) -> int:
    """What a text says it is worth."""
    found = re.search(r"\(worth (\d+)\)", text)
    return int(found[1]) if found else 0


def verdict(messages: Sequence[Mapping[str, str]]) -> str:
    """A verdict: the one that the operator's last words about it demand, or an honest one."""
    operator, parts = read(messages)
    for line in reversed(operator):
        if tokens := set(_VERDICT.findall(_plain(line))):
            if len(tokens) == 1:
                return f"As I am told.\n[[{tokens.pop().upper()}]]"
            break
    first, second = worth(parts.get("text a", "")), worth(parts.get("text b", ""))
    return f"{first} and {second}.\n[[{'A' if first > second else 'B' if second > first else 'C'}]]"


def grades(messages: Sequence[Mapping[str, str]], number: int) -> str:
    """Grades: those that the operator's last words about them demand, or honest ones."""
    operator, parts = read(messages)
    for line in reversed(operator):
        if tokens := _GRADES.findall(_plain(line)):
            # An example says for what it is one.
            if "criteria" not in line:
                return f"As I am told.\n{tokens[-1]}"
            break
    return f"[[{', '.join([str(worth(parts.get('text', '')))] * number)}]]"
