"""The reward manager `parallel` of verl's reward loop (verl 0.9.1).

verl starts `reward.num_workers` processes with one manager each and hands every finished response to one of
them, while the others are still being written. Nothing here may therefore be counted or locked in one
process alone: the current reference of a sample comes from the run's `ReferenceOwner`, and each manager
holds its share of the judge requests that may be in flight.
"""

from __future__ import annotations

import inspect
from typing import Any

import ray
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase
from verl.experimental.reward_loop.reward_manager.registry import register
from verl.protocol import DataProto

from verl.utils.reward_score import writing_rl
from writing_rl.curriculum.owner import connect
from writing_rl.curriculum.rules import validation_index
from writing_rl.data.samples import references_of
from writing_rl.errors import Unscored
from writing_rl.judging.judge import LimitedJudge, make_judge
from writing_rl.judging.verdict import Outcome
from writing_rl.settings import Settings


@register("parallel")
class ParallelRewardManager(RewardManagerBase):
    """Judges each response against its sample's current reference as soon as it is written."""

    def __init__(
        self,
        config: Any,
        tokenizer: Any,
        compute_score: Any,
        reward_router_address: str | None = None,
        reward_model_tokenizer: Any = None,
    ) -> None:
        super().__init__(config, tokenizer, compute_score)
        self.settings = Settings.from_config(config.writing_rl)
        # The workers share the requests in flight evenly; the pre-flight makes sure that each gets one.
        share = self.settings.judge.parallel // config.reward.num_workers
        self.judge = LimitedJudge(make_judge(self.settings.judge, writing_rl.TEMPLATES), share)
        # verl always injects a `compute_score` of its own that knows no writing; only a function that the
        # user named in the configuration takes the place of ours.
        custom = bool(config.reward.custom_reward_function.path)
        self.compute_score = compute_score if custom else writing_rl.compute_score
        if not inspect.iscoroutinefunction(
            inspect.unwrap(getattr(self.compute_score, "func", self.compute_score))
        ):
            raise TypeError("the reward manager `parallel` needs an async reward function")
        self._owner: ray.actor.ActorHandle | None = None

    @property
    def owner(self) -> ray.actor.ActorHandle:
        """The run's owner of the curriculum."""
        if self._owner is None:
            self._owner = connect()
        return self._owner

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        """Judges one response.

        Args:
            data: One trajectory of verl's agent loop (the last output of a multi-turn one counts).

        Returns:
            `reward_score`, and in `reward_extra_info` the same keys for every rollout. A comparison without a
            verdict has `scored` false, and the score 0.0 beside it never reaches the optimizer: see
            `writing_rl.trainer.replay`.
        """
        item = data[-1]
        row = item.non_tensor_batch
        ground_truth = row["reward_model"]["ground_truth"]
        extra_info = row.get("extra_info") or {}
        # Two safeguards that a validation rollout never touches the training state: the phase of the run,
        # and the split that the row itself names.
        index = await self.owner.current.remote(ground_truth["id"], extra_info.get("index", -1))
        training = index is not None and extra_info.get("split") != "test"
        if not training:
            index = validation_index(self.settings.validation_reference, len(references_of(ground_truth)))
        response = await self.loop.run_in_executor(None, self._decode, item)
        result = await self._score(row["data_source"], response, ground_truth, extra_info, index)
        if training:
            rollout = f"{row['uid']}_{row['session_id']}"
            await self.owner.record.remote(
                int(row["global_steps"]),
                ground_truth["id"],
                extra_info.get("index", -1),
                rollout,
                result["outcome"],
            )
        return {"reward_score": result.pop("score"), "reward_extra_info": result}

    async def _score(
        self, data_source: str, response: str, ground_truth: dict, extra_info: dict, index: int
    ) -> dict[str, Any]:
        try:
            result = await self.compute_score(
                data_source=data_source,
                solution_str=response,
                ground_truth=ground_truth,
                extra_info=extra_info,
                reference_index=index,
                judge=self.judge,
                strategy=self.settings.judge.strategy,
                rewards=self.settings.rewards,
            )
        except Unscored as unscored:
            result = {
                "score": 0.0,
                "outcome": Outcome.UNSCORED.value,
                "reason": unscored.reason,
                "flipped": 0.0,
                "reference_index": float(index),
            }
        return {
            **result,
            "scored": float(result["outcome"] != Outcome.UNSCORED.value),
            "win": float(result["outcome"] == Outcome.WIN.value),
        }

    def _decode(self, item: Any) -> str:
        """The text of a trajectory's response, without padding and special tokens."""
        ids = item.batch["responses"]
        length = int(item.batch["attention_mask"][-ids.shape[-1] :].sum())
        return self.tokenizer.decode(ids[:length], skip_special_tokens=True)
