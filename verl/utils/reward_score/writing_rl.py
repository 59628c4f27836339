"""`compute_score`: one judged comparison as a reward function of verl.

In a training, `ParallelRewardManager` makes the same comparison itself, with the sample's current reference.
Alone, as verl's `reward.custom_reward_function` (path `pkg://verl.utils.reward_score.writing_rl`), this takes
its settings from the environment (JUDGE_MODEL, OPENAI_BASE_URL, REWARD_STRATEGY) and compares with the first
reference unless told otherwise, for the curriculum needs the reward manager.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from verl.utils.reward_score.judge_prompts import ASK_AGAIN, JUDGE_PROMPT, JUDGE_PROMPT_WITH_CRITERIA
from writing_rl.dataset.ground_truth import references_of
from writing_rl.errors import Unscored
from writing_rl.judging.compare import Rules, compare
from writing_rl.judging.factory import close_all, make_channel, make_judges
from writing_rl.judging.judge import Judge, ModelJudge, Templates
from writing_rl.judging.reward import Reward
from writing_rl.judging.verdict import Outcome, Rewards
from writing_rl.settings import settings_of_environment

TEMPLATES = Templates(default=JUDGE_PROMPT, with_criteria=JUDGE_PROMPT_WITH_CRITERIA, ask_again=ASK_AGAIN)


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Mapping[str, Any],
    extra_info: Mapping[str, Any] | None = None,
    *,
    reference_index: int = 0,
    judges: Sequence[Judge] | None = None,
    rules: Rules | None = None,
    rewards: Rewards = Rewards(),
    **_: Any,
) -> dict[str, float | str]:
    """Compares one response with one reference of its sample.

    Args:
        data_source: The row's `data_source`; it changes nothing.
        solution_str: The policy's decoded response.
        ground_truth: The row's `reward_model.ground_truth`: `prompt`, `target` and perhaps `criteria`.
        extra_info: The row's `extra_info`; it changes nothing.
        reference_index: Which reference to compare with, from 0.
        judges: Who decides; by default the judges of the environment.
        rules: How the texts are compared; by default the strategy of the environment.
        rewards: What each outcome is worth.

    Returns:
        `score` and, for each rollout the same keys, `outcome`, `reason`, `flipped` and `reference_index`.

    Raises:
        Unscored: The comparison got no verdict. It has no score, and none is made up.
        IndexError: The sample has no such reference.
        JudgeError: A judge cannot be used at all, or the budget is spent.
        SettingError: No judge is set.
    """
    references = references_of(ground_truth)
    if not 0 <= reference_index < len(references):
        raise IndexError(f"reference {reference_index} of a sample that has {len(references)}")
    async with contextlib.AsyncExitStack() as stack:
        if not (judges and rules):
            environment = await stack.enter_async_context(_environment())
            judges, rules = judges or environment.judges, rules or environment.rules
        comparison = await compare(
            judges,
            rules,
            prompt=ground_truth["prompt"],
            response=solution_str,
            reference=references[reference_index],
            criteria=ground_truth.get("criteria"),
        )
    if comparison.outcome is Outcome.UNSCORED:
        raise Unscored(comparison.reason, comparison.detail)
    return Reward.of(comparison, rules.vote, rewards).as_result(reference_index)


@dataclass
class _Environment:
    """Judges and rules of the environment, and the calls that use them now."""

    judges: tuple[Judge, ...]
    rules: Rules
    calls: int = 0


#: By event loop: a client's connections belong to one.
_made: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Environment] = weakref.WeakKeyDictionary()
#: What judges learnt of the parameters of their requests, by their names; it holds in every event loop.
_learnt: dict[str, Mapping[str, Any]] = {}


@contextlib.asynccontextmanager
async def _environment() -> AsyncIterator[_Environment]:
    """Judges and rules of the environment, made once in an event loop.

    The last of the calls at a time closes the connections: nobody says when a host program has made its last
    call, and its event loop may be closed right after it.
    """
    loop = asyncio.get_running_loop()
    if loop not in _made:
        settings = replace(settings_of_environment(), learnt=dict(_learnt))
        _made[loop] = _Environment(make_judges(settings, TEMPLATES, make_channel(settings)), settings.rules)
    environment = _made[loop]
    environment.calls += 1
    try:
        yield environment
    finally:
        environment.calls -= 1
        _learnt.update(
            (judge.name, judge.learnt)
            for judge in environment.judges
            if isinstance(judge, ModelJudge) and judge.learnt
        )
        if not environment.calls:
            await close_all(environment.judges)
