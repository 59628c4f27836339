"""What the policy's texts look like, to see early that it learns to please the judge. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

#: Words, and each character of a script that writes without spaces (Chinese, Japanese) as a word of its own.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")

#: Length of the runs of words whose repetition counts.
RUN = 4


@dataclass(frozen=True)
class Writing:
    """Figures of one text.

    Attributes:
        words: Its length, in words or Chinese characters.
        repetition: The share of its runs of four words that it held before, from 0 to 1.
    """

    words: int
    repetition: float

    @classmethod
    def of(cls, text: str) -> Writing:
        """The figures of a text."""
        words = _WORD.findall(text.lower())
        runs = len(words) - RUN + 1
        different = len(set(zip(*(words[first:] for first in range(RUN)), strict=False)))
        return cls(len(words), 1 - different / runs if runs > 0 else 0.0)


def metrics(writings: Sequence[Writing]) -> dict[str, float]:
    """A step's means under the names of the README's table "Logged metrics"; none of no text."""
    if not writings:
        return {}
    return {
        "writing_rl/answer_words": sum(writing.words for writing in writings) / len(writings),
        "writing_rl/answer_repetition": sum(writing.repetition for writing in writings) / len(writings),
    }
