"""Which responses of a prompt become its references, and in which order. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from writing_rl.errors import SettingError

if TYPE_CHECKING:
    from writing_rl.data.preparation.scoring import Reference
    from writing_rl.text.similarity import Grams


@dataclass(frozen=True)
class ReferenceRules:
    """What a prompt's references must be like.

    Attributes:
        near_duplicate: From which similarity on two texts are the same one, above 0 to 1.
        tie_margin: Up to which distance of their scores two texts are equally good.
        min_references: A prompt with fewer is left out.
        max_references: How many to keep at most; None for all.
    """

    near_duplicate: float = 0.9
    tie_margin: float = 0.0
    min_references: int = 2
    max_references: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.near_duplicate <= 1:
            raise SettingError(f"--near-duplicate is {self.near_duplicate}: it must be above 0 and at most 1")
        if not (self.tie_margin >= 0 and math.isfinite(self.tie_margin)):
            raise SettingError(f"--tie-margin is {self.tie_margin}: it must be a number that is not negative")
        if self.min_references < 1:
            raise SettingError(f"--min-references is {self.min_references}: a prompt needs at least 1")
        least = max(2, self.min_references)
        if self.max_references is not None and self.max_references < least:
            raise SettingError(
                f"--max-references is {self.max_references}: it must be at least {least}, since the worst "
                "and the best are kept, and --min-references of them"
            )


@dataclass
class Dropped:
    """How many responses did not become references, and why; adds up over prompts."""

    near_duplicates: int = 0
    ties: int = 0
    beyond_max: int = 0


def choose_references(
    responses: Sequence[Reference], rules: ReferenceRules, dropped: Dropped
) -> list[Reference]:
    """Chooses and orders the references of a prompt.

    From the best to the worst, a response is kept when it is no near-duplicate of a better one that is kept,
    and its score is more than the tie margin below that of the last one kept. So the better one of two always
    stays; of equally good ones the first in the input does. The margin is counted from what is kept, so a
    long row of close scores is thinned and not lost.

    Args:
        responses: The responses with their scores, in the order of the input.
        rules: What is kept.
        dropped: Counts what is not.

    Returns:
        The references, the scores rising strictly.
    """
    kept: list[Reference] = []
    from writing_rl.text.similarity import Grams

    grams: list[Grams] = []
    for response in sorted(responses, key=lambda response: -response.score):  # stable
        # A single response has nothing to be compared with.
        its_grams = Grams(response.text) if len(responses) > 1 else None
        if its_grams is not None:
            if any(its_grams.reaches(better, rules.near_duplicate) for better in grams):
                dropped.near_duplicates += 1
                continue
            grams.append(its_grams)
        if kept and _is_tie(kept[-1].score - response.score, rules.tie_margin):
            dropped.ties += 1
            if its_grams is not None:
                grams.pop()
            continue
        kept.append(response)
    kept.reverse()
    chosen = spread(kept, rules.max_references)
    dropped.beyond_max += len(kept) - len(chosen)
    return chosen


def spread(references: Sequence[Reference], number: int | None) -> list[Reference]:
    """Keeps some references, evenly by their places, the first and the last among them.

    Args:
        references: References, the worst first.
        number: How many to keep, at least 2; None for all.

    Returns:
        That many of them, or all where there are not more.
    """
    last = len(references) - 1
    if number is None or last < number:
        return list(references)
    gaps = number - 1
    return [references[(2 * place * last + gaps) // (2 * gaps)] for place in range(number)]  # rounded


def _is_tie(distance: float, margin: float) -> bool:
    """Whether two scores are equal within the margin; 0.3 and 0.2 are, within 0.1, in spite of rounding."""
    return distance <= margin or math.isclose(distance, margin, rel_tol=1e-9)
