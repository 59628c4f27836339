"""`compute_score`: one judged comparison, and what it means as a reward.

`ParallelRewardManager` calls it with the sample's current reference. It also works alone, as verl's
`reward.custom_reward_function` (path `pkg://verl.utils.reward_score.writing_rl`): it then takes its
settings from the environment (JUDGE_MODEL, OPENAI_BASE_URL, REWARD_STRATEGY) and compares with the first
reference unless told otherwise, for the curriculum needs the reward manager.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

from verl.utils.reward_score.judge_prompts import ASK_AGAIN, JUDGE_PROMPT, JUDGE_PROMPT_WITH_CRITERIA
from writing_rl.data.samples import references_of
from writing_rl.errors import SettingError, Unscored
from writing_rl.judging.compare import Comparison, compare
from writing_rl.judging.judge import Judge, Templates, make_judge
from writing_rl.judging.verdict import Outcome, Rewards, Strategy
from writing_rl.settings import JudgeSettings, member

TEMPLATES = Templates(default=JUDGE_PROMPT, with_criteria=JUDGE_PROMPT_WITH_CRITERIA, ask_again=ASK_AGAIN)


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Mapping[str, Any],
    extra_info: Mapping[str, Any] | None = None,
    *,
    reference_index: int = 0,
    judge: Judge | None = None,
    strategy: Strategy | None = None,
    rewards: Rewards = Rewards(),
    ask_again: int = 1,
    observe: Callable[[Comparison], None] | None = None,
    **_: Any,
) -> dict[str, float | str]:
    """Compares one response with one reference of its sample.

    Args:
        data_source: The row's `data_source`; it changes nothing.
        solution_str: The policy's decoded response.
        ground_truth: The row's `reward_model.ground_truth`: `prompt`, `target` and perhaps `criteria`.
        extra_info: The row's `extra_info`; it changes nothing.
        reference_index: Which reference to compare with, from 0.
        judge: Who decides; by default the judge of the environment.
        strategy: In which order the judge sees the texts; by default that of the environment.
        rewards: What each outcome is worth.
        ask_again: How often an answer without a verdict is asked for one.
        observe: Gets the whole comparison, also one without a verdict.

    Returns:
        `score` and, for each rollout the same keys, `outcome`, `reason`, `flipped` and `reference_index`.

    Raises:
        Unscored: The comparison got no verdict. It has no score, and none is made up.
        IndexError: The sample has no such reference.
        JudgeError: The judge cannot be used at all.
        SettingError: No judge is set.
    """
    environment = None if judge and strategy else _environment()
    references = references_of(ground_truth)
    if not 0 <= reference_index < len(references):
        raise IndexError(f"reference {reference_index} of a sample that has {len(references)}")
    comparison = await compare(
        judge or environment[0],
        strategy or environment[1],
        prompt=ground_truth["prompt"],
        response=solution_str,
        reference=references[reference_index],
        criteria=ground_truth.get("criteria"),
        ask_again=ask_again,
    )
    if observe is not None:
        observe(comparison)
    if comparison.outcome is Outcome.UNSCORED:
        raise Unscored(comparison.reason, comparison.detail)
    return {
        "score": rewards.of(comparison.outcome),
        "outcome": comparison.outcome.value,
        "reason": comparison.reason,
        "flipped": float(comparison.flipped),
        "reference_index": float(reference_index),
    }


@functools.lru_cache(maxsize=1)
def _environment() -> tuple[Judge, Strategy]:
    """Judge and strategy of the environment, made once in a process."""
    model = os.environ.get("JUDGE_MODEL")
    if not model:
        raise SettingError("no judge is set: set JUDGE_MODEL, or JUDGE_MODEL=offline for the offline judge")
    strategy = member(
        Strategy, os.environ.get("REWARD_STRATEGY") or Strategy.DISADVANTAGE.value, "REWARD_STRATEGY"
    )
    settings = JudgeSettings(
        model=model, base_url=os.environ.get("OPENAI_BASE_URL") or None, strategy=strategy
    )
    return make_judge(settings, TEMPLATES), strategy
