"""A data set in a few lines of numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from writing_rl.data.checking.findings import fits
from writing_rl.dataset.samples import Sample

#: The script of a text is told by its first characters: enough for prose, and fast for a million of texts.
LOOKED_AT = 200

_LETTERS = re.compile(r"[^\W\d_]+")
_LATIN = re.compile("[A-Za-zªºÀ-ÖØ-öø-ɏḀ-ỿＡ-Ｚａ-ｚ]")
_HAN = re.compile("[々〇㐀-䶿一-鿿豈-\ufaff\U00020000-\U000323af]")


@dataclass(frozen=True)
class Lengths:
    """How many tokens the texts of a data set have.

    Attributes:
        prompts: Of each prompt, as the policy reads it.
        references: Of all references, in the order of the file.
    """

    prompts: list[int]
    references: list[int]


def describe(
    samples: Sequence[Sample], scores: Sequence[Any] | None, lengths: Lengths | None
) -> Iterator[str]:
    """Lines that describe a data set.

    Args:
        samples: The data set.
        scores: `extra_info.scores` of each row, None where it has none; None for a set without scores.
        lengths: The tokens of its texts, None if they are not counted.
    """
    references = [reference for sample in samples for reference in sample.references]
    yield _spread("references a sample", [len(sample.references) for sample in samples])
    yield _spread("prompt, characters", [len(sample.prompt) for sample in samples])
    yield _spread("reference, characters", list(map(len, references)))
    if lengths is not None:
        yield _spread("whole chat, tokens", lengths.prompts)
        yield _spread("reference, tokens", lengths.references)
    yield _line("script of prompts", _shares(sample.prompt for sample in samples))
    yield _line("script of references", _shares(references))
    if scores is not None:
        good = [stored for sample, stored in zip(samples, scores, strict=True) if fits(sample, stored)]
        if good:
            worst, best = fmean(map(min, good)), fmean(map(max, good))
            yield _line("stored scores", f"worst {worst:.3g}, best {best:.3g} (means of {len(good):,} rows)")


def script_of(text: str) -> str:
    """The script that most letters at the beginning of a text belong to: Latin, Han or other.

    Japanese is counted as other wherever it is mostly kana.
    """
    beginning = text[:LOOKED_AT]
    latin = han = all_letters = 0
    for run in _LETTERS.findall(beginning):
        all_letters += len(run)
        # Most runs are words of one script; a run of Chinese may hold a foreign word.
        if run.isascii():
            latin += len(run)
        else:
            latin += len(_LATIN.findall(run))
            han += len(_HAN.findall(run))
    if 2 * latin > all_letters:
        return "Latin"
    return "Han" if 2 * han > all_letters else "other"


def _shares(texts: Iterable[str]) -> str:
    counts = Counter(map(script_of, texts))
    return ", ".join(f"{name} {count / counts.total():.1%}" for name, count in counts.most_common())


def _spread(name: str, numbers: Sequence[int]) -> str:
    ordered = sorted(numbers)
    low, middle, high = ordered[0], ordered[(len(ordered) - 1) // 2], ordered[-1]
    return _line(name, f"{low:,} / {middle:,} / {high:,}  (least / median / most)")


def _line(name: str, text: str) -> str:
    return f"  {name:<28} {text}"
