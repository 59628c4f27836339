"""A reward that looks at the text alone, to compare the pairwise one with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from verl.utils.reward_score import writing_rl
from writing_rl.judging.grade import HIGHEST, LOWEST, offline_grade
from writing_rl.text.thinking import judged_text


async def compute_score(
    data_source: str, solution_str: str, ground_truth: Mapping[str, Any], **more: Any
) -> dict[str, float | str]:
    """The offline judge's grade as a reward from 0 to 1; arguments as those of our own `compute_score`.

    The comparison with the reference is made all the same: for the metrics, which it decides alone.
    """
    result = await writing_rl.compute_score(data_source, solution_str, ground_truth, **more)
    text = judged_text(solution_str)
    grade = offline_grade(ground_truth["prompt"], text) if text else LOWEST
    return {**result, "score": (grade - LOWEST) / (HIGHEST - LOWEST)}
