"""Which samples of a data set to train on. Pure functions.

Margin-aware data selection (Writing-RL, arXiv 2506.05760, "Margin-aware Data Selection"): a sample's learning
potential is its margin, the best reference's score less the policy's, and the samples with the most are kept.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from writing_rl.errors import DataError

#: Decimals of margins and mean scores. Without rounding 0.9 - 0.7 is above 0.2, and no tie with 0.5 - 0.3.
DECIMALS = 9


class By(str, Enum):
    """What samples are ranked by."""

    MARGIN = "margin"
    DIFFICULTY = "difficulty"
    RANDOM = "random"


@dataclass(frozen=True)
class Candidate:
    """One row of the data set.

    Attributes:
        id: The sample's key, as in the index file.
        source: Where the sample comes from; empty where that is not said.
        best: The highest score of its references.
        policy: The mean score of the policy's responses, or None where none is scored.
        responses: How many responses that are.
    """

    id: str
    source: str
    best: float
    policy: float | None
    responses: int

    @cached_property
    def margin(self) -> float:
        """What the policy can still learn here; NaN where the policy has no score."""
        return math.nan if self.policy is None else round(self.best - self.policy, DECIMALS)


@dataclass(frozen=True)
class Rule:
    """What is kept; exactly one of `top`, `share` and `above` is set.

    Attributes:
        by: What samples are ranked by: the largest margin first, the lowest score of the policy first, or at
            random.
        top: How many to keep.
        share: Which share to keep, above 0 to 1: the nearest whole number of samples, and at least one.
        above: Keep the samples whose margin is larger than this.
        per_source: Whether to rank and to keep within each source.
        seed: Of the random order, which also decides between samples that rank equally.
    """

    by: By = By.MARGIN
    top: int | None = None
    share: float | None = None
    above: float | None = None
    per_source: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if sum(limit is not None for limit in (self.top, self.share, self.above)) != 1:
            raise ValueError("exactly one of top, share and above must be set")
        if self.by is By.RANDOM and self.above is not None:
            raise ValueError("a threshold on the margin and a random choice exclude each other")


@dataclass(frozen=True)
class Choice:
    """What became of a row.

    Attributes:
        rank: Its place from 1, within its source where that was asked for; None without a policy score.
        kept: Whether it is kept.
        why: The reason in words.
    """

    rank: int | None
    kept: bool
    why: str


def make_candidates(
    ids: Sequence[str],
    sources: Sequence[str],
    scores: Sequence[Sequence[float]],
    policy: Mapping[str, Sequence[float]],
) -> list[Candidate]:
    """Joins the rows with the policy's scores.

    Args:
        ids: Each row's key.
        sources: Each row's source, or an empty text.
        scores: Each row's scores of its references, at least one.
        policy: The scores of the policy's responses, by key; keys that no row has are left out.
    """
    candidates = []
    for id, source, references in zip(ids, sources, scores, strict=True):
        responses = policy.get(id, ())
        # An exact sum, so that the order of the lines does not matter, not even in the last digit.
        mean = round(math.fsum(responses) / len(responses), DECIMALS) if responses else None
        candidates.append(Candidate(id, source, max(references), mean, len(responses)))
    return candidates


def choose(candidates: Sequence[Candidate], rule: Rule) -> list[Choice]:
    """Says for each row whether it is kept; rows without a policy score are not.

    The result belongs to the ids, not to the rows' order.

    Raises:
        DataError: No row has a policy score, or no margin is above the threshold.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for row, candidate in enumerate(candidates):
        if candidate.policy is not None:
            groups[candidate.source if rule.per_source else ""].append(row)
    if not groups:
        raise DataError("no row has a policy score, so there is nothing to choose from")
    choices = [Choice(None, False, "no policy score")] * len(candidates)
    for rows in groups.values():
        rows.sort(key=lambda row: _place(candidates[row], rule))
        for rank, row in enumerate(rows, start=1):
            choices[row] = _choice(candidates[row], rank, len(rows), rule)
    if not any(choice.kept for choice in choices):
        largest = max(candidate.margin for candidate in candidates if candidate.policy is not None)
        raise DataError(f"no margin is above {rule.above:g}, the largest is {largest:g}: lower the threshold")
    return choices


def number_kept(rule: Rule, rows: int) -> int:
    """How many rows of a group are kept, by `top` or `share`."""
    if rule.top is not None:
        return min(rule.top, rows)
    if rule.share is None:
        raise ValueError("a threshold keeps no fixed number")
    return min(rows, max(1, math.floor(rule.share * rows + 0.5)))


def _place(candidate: Candidate, rule: Rule) -> tuple[float, bytes]:
    """What a group is sorted by: lower is earlier."""
    if candidate.policy is None:
        raise ValueError(f"{candidate.id} has no policy score")
    values = {By.MARGIN: -candidate.margin, By.DIFFICULTY: candidate.policy, By.RANDOM: 0.0}
    return values[rule.by], _lot(candidate.id, rule.seed)


def _lot(id: str, seed: int) -> bytes:
    """A draw that depends on nothing but the id and the seed."""
    return hashlib.blake2b(f"{seed}:{id}".encode(), digest_size=16).digest()


def _choice(candidate: Candidate, rank: int, rows: int, rule: Rule) -> Choice:
    if rule.above is not None:
        kept = candidate.margin > rule.above
        return Choice(rank, kept, f"margin {'above' if kept else 'not above'} {rule.above:g}")
    number = number_kept(rule, rows)
    kept = rank <= number
    whole = f"{rows} of its source" if rule.per_source else f"{rows}"
    return Choice(rank, kept, f"{'among' if kept else 'not among'} the first {number} of {whole}")
