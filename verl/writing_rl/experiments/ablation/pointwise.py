"""A reward that looks at the text alone, to compare the pairwise one with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from writing_rl.judging.compare import Comparison
from writing_rl.judging.grade import HIGHEST, LOWEST, offline_grade
from writing_rl.text.thinking import judged_text


async def compute_score(
    *,
    solution_str: str,
    ground_truth: Mapping[str, Any],
    compare: Callable[[], Awaitable[Comparison]],
    **_: Any,
) -> dict[str, float | str]:
    """The offline judge's grade as a reward from 0 to 1, called by the reward manager `parallel`.

    The comparison with the reference is made all the same: for the metrics, which it decides alone.
    """
    comparison = await compare()
    text = judged_text(solution_str)
    grade = offline_grade(ground_truth["prompt"], text) if text else LOWEST
    return {
        "score": (grade - LOWEST) / (HIGHEST - LOWEST),
        "outcome": comparison.outcome.value,
        "reason": comparison.reason,
    }
