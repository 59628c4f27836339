"""What a data set can be trained on with, and is still likely to be a mistake."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

from writing_rl.dataset.samples import Sample

#: Rows of a finding that are named.
SHOWN_ROWS = 5
#: A reference of fewer characters is rather a mistake than a text.
SHORTEST_REFERENCE = 20

#: A row, and what else is to be said of it.
Hit = tuple[int, str]


@dataclass(frozen=True)
class Finding:
    """Something that is likely to be a mistake.

    Attributes:
        title: What it is.
        hits: The rows that it is found in, each with what else is known of it.
    """

    title: str
    hits: Sequence[Hit]

    def __str__(self) -> str:
        shown = [f"{row} ({note})" if note else str(row) for row, note in islice(self.hits, SHOWN_ROWS)]
        more = len(self.hits) - len(shown)
        rows = ", ".join(shown) + (f" and {more} more" if more else "")
        return f"{self.title}: {len(self.hits)} row{'s' * (len(self.hits) != 1)}: {rows}"


def findings_of(samples: Sequence[Sample], split: str) -> Iterator[Finding]:
    """What the texts of one data set are suspected of.

    Args:
        samples: The data set.
        split: What it is used as, `train` or `test`.
    """
    found = [
        Finding(
            "the user message does not hold ground_truth.prompt, so policy and judge differ about the task",
            list(_other_prompt(samples)),
        ),
        Finding("a reference occurs twice", list(_repeated_reference(samples))),
        Finding(
            f"a reference of fewer than {SHORTEST_REFERENCE} characters", list(_short_reference(samples))
        ),
    ]
    if split == "train":  # validation needs no more than one
        only_one = [(row, "") for row, sample in enumerate(samples) if len(sample.references) == 1]
        found.append(Finding("only one reference, which the sample can never move on from", only_one))
    yield from (finding for finding in found if finding.hits)


def _other_prompt(samples: Sequence[Sample]) -> Iterator[Hit]:
    for row, sample in enumerate(samples):
        said = [message["content"] for message in sample.messages if message["role"] == "user"]
        prompt = sample.prompt.strip()
        if any(prompt in text for text in said):
            continue
        prompt = " ".join(prompt.split())
        if not any(prompt in " ".join(text.split()) for text in said):
            yield row, "" if said else "it has no user message"


def _repeated_reference(samples: Sequence[Sample]) -> Iterator[Hit]:
    for row, sample in enumerate(samples):
        if len({reference.strip() for reference in sample.references}) < len(sample.references):
            yield row, ""


def _short_reference(samples: Sequence[Sample]) -> Iterator[Hit]:
    for row, sample in enumerate(samples):
        for position, reference in enumerate(sample.references):
            length = len(reference.strip())
            if length < SHORTEST_REFERENCE:
                yield row, f"target[{position}] has {length}"
                break


class _Bare(dict[int, int | None]):
    """A table for `str.translate` that leaves out white space, punctuation and control characters."""

    def __missing__(self, code: int) -> int | None:
        category = unicodedata.category(chr(code))
        self[code] = None if category[0] in "ZP" or category in ("Cc", "Cf") else code
        return self[code]


_BARE = _Bare()


def bare(text: str) -> str:
    """A text without white space, punctuation, case and variants of characters: same task, same bare text."""
    folded = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return folded.casefold().translate(_BARE) or text.strip()  # a text of punctuation is told apart by that


def repeated(prompts: Sequence[str]) -> Finding:
    """The rows of a data set that repeat a prompt.

    Args:
        prompts: The bare prompt of each row.
    """
    first: dict[str, int] = {}
    hits: list[Hit] = []
    for row, prompt in enumerate(prompts):
        earlier = first.setdefault(prompt, row)
        if earlier != row:
            hits.append((row, f"as row {earlier}"))
    return Finding("the prompt of an earlier row again", hits)


def leaked(train: Sequence[str], test: Sequence[str]) -> Finding:
    """The rows of a test set whose prompts are trained on, too.

    Args:
        train: The bare prompt of each row of the training set.
        test: The bare prompt of each row of the test set.
    """
    first = {prompt: row for row, prompt in reversed(list(enumerate(train)))}
    hits = [(row, f"training row {first[prompt]}") for row, prompt in enumerate(test) if prompt in first]
    return Finding("a prompt of the training set, so validation does not show what is new", hits)


def score_findings(samples: Sequence[Sample], scores: Sequence[Any]) -> Iterator[Finding]:
    """What the stored scores of references are suspected of.

    Args:
        samples: The data set.
        scores: `extra_info.scores` of each row, None where it has none.
    """
    unfit: list[Hit] = []
    falling: list[Hit] = []
    level: list[Hit] = []
    for row, (sample, stored) in enumerate(zip(samples, scores, strict=True)):
        if stored is None:
            continue
        if not fits(sample, stored):
            unfit.append((row, ""))
        elif any(a > b for a, b in pairwise(stored)):
            falling.append((row, ", ".join(f"{score:g}" for score in stored)))
        elif any(a == b for a, b in pairwise(stored)):
            level.append((row, ", ".join(f"{score:g}" for score in stored)))
    for title, hits in (
        ("extra_info.scores is not one number a reference", unfit),
        ("extra_info.scores goes down, though the references must get better", falling),
        ("extra_info.scores does not increase, two references have the same", level),
    ):
        if hits:
            yield Finding(title, hits)


def fits(sample: Sample, stored: Any) -> bool:
    """Whether stored scores are one number a reference."""
    return (
        isinstance(stored, list)
        and len(stored) == len(sample.references)
        and all(type(score) in (int, float) and math.isfinite(score) for score in stored)
    )


def unreachable(samples: Sequence[Sample], lengths: Iterable[int], limit: int) -> Finding:
    """The samples with references that are longer than any response.

    Args:
        samples: The data set.
        lengths: The tokens of all references, in the order of the file.
        limit: `data.max_response_length`.
    """
    remaining = iter(lengths)
    hits: list[Hit] = []
    for row, sample in enumerate(samples):
        longest = max(islice(remaining, len(sample.references)))
        if longest > limit:
            hits.append((row, f"{longest} tokens"))
    return Finding(f"a reference of more than {limit} tokens, the longest that the policy can write", hits)
