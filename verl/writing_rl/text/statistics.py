"""What the policy's texts look like, to see early that it learns to please the judge. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from writing_rl.text.attacks import NONE, Attacks

# Scripts that write without spaces (Chinese, Japanese), and the marks between their characters.
_CHARACTERS, _MARKS = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff", r"\u3000-\u303f\uff01-\uff0f\uff1a-\uff20"
_WIDE = re.compile(rf"[{_CHARACTERS}{_MARKS}]")
_WORD = re.compile(rf"[{_CHARACTERS}]|[^\s{_CHARACTERS}{_MARKS}]+")

#: Length of the runs of words whose repetition counts.
RUN = 4


@dataclass(frozen=True)
class Writing:
    """Figures of one text.

    Attributes:
        words: Its length, in words (what white space separates) or Chinese characters.
        repetition: The share of its runs of four words that it held before, from 0 to 1.
        attacks: What it holds for its judge.
    """

    words: int
    repetition: float
    attacks: Attacks = NONE

    @classmethod
    def of(cls, text: str) -> Writing:
        """The figures of a text."""
        attacks = Attacks.of(text)
        text = text.lower()
        # Where the two say the same, `split` takes a tenth of the time.
        words = _WORD.findall(text) if _WIDE.search(text) else text.split()
        runs = len(words) - RUN + 1
        different = len(set(zip(*(words[first:] for first in range(RUN)), strict=False)))
        return cls(len(words), 1 - different / runs if runs > 0 else 0.0, attacks)


def metrics(writings: Sequence[Writing]) -> dict[str, float]:
    """A step's means under the names of the README's table "Logged metrics"; none of no text."""
    if not writings:
        return {}
    return {
        "writing_rl/answer_words": sum(writing.words for writing in writings) / len(writings),
        "writing_rl/answer_repetition": sum(writing.repetition for writing in writings) / len(writings),
    }
