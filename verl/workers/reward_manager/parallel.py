"""The reward manager `parallel` of verl's reward loop (verl 0.9.1).

verl starts `reward.num_workers` processes with one manager each and hands every finished response to one of
them, while the others are still being written. Nothing here may therefore be counted or locked in one
process alone: what came of a text goes to the run's `ReferenceOwner`, and the right to make a request comes
from its pool of slots.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase
from verl.experimental.reward_loop.reward_manager.registry import register
from verl.protocol import DataProto

from verl.utils.reward_score import writing_rl
from writing_rl.curriculum.messages import REFERENCE_COLUMN, Judged, Row, connect, records
from writing_rl.curriculum.rules import validation_index
from writing_rl.dataset.ground_truth import references_of
from writing_rl.errors import BudgetSpent, JudgeError, Unscored
from writing_rl.judging.client.request_queue import STOPPED, Channel
from writing_rl.judging.client.slot_actor import connect_slots
from writing_rl.judging.compare import Comparison, compare
from writing_rl.judging.factory import make_channel, make_judges
from writing_rl.judging.judge import Judge
from writing_rl.judging.providers import Served
from writing_rl.judging.reward import Reward
from writing_rl.judging.verdict import Outcome
from writing_rl.runlog.transcript import Transcript
from writing_rl.settings import Settings
from writing_rl.text.statistics import Writing
from writing_rl.text.thinking import judged_text
from writing_rl.util.batcher import Batches


@dataclass(frozen=True)
class _Rollout:
    """What verl says about a rollout.

    Attributes:
        data_source, ground_truth, extra_info: Columns of its row in the data set.
        row: Its sample.
        reference: The index of the reference that it is compared with, or None for one of validation, which
            has its own.
        step: The step of the training that it belongs to.
        session: Its number among the rollouts of its sample in that step, from 0.
        name: Unique among the rollouts of its step.
    """

    data_source: str
    ground_truth: Mapping[str, Any]
    extra_info: Mapping[str, Any]
    row: Row
    reference: int | None
    step: int
    session: int
    name: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> _Rollout:
        reference, extra_info = row.get(REFERENCE_COLUMN), row.get("extra_info") or {}
        # Two safeguards that a rollout of validation never touches the state of training: it sets out
        # without a reference, and its row itself names the split.
        training = reference is not None and extra_info.get("split") != "test"
        return cls(
            data_source=row["data_source"],
            ground_truth=row["reward_model"]["ground_truth"],
            extra_info=extra_info,
            row=Row.of(row["reward_model"], extra_info),
            reference=int(reference) if training else None,
            step=int(row["global_steps"]),
            session=int(row["session_id"]),
            name=f"{row['uid']}_{row['session_id']}",
        )

    @property
    def references(self) -> tuple[str, ...]:
        return references_of(self.ground_truth)

    def about(self) -> dict[str, Any]:
        """What a transcript says about it."""
        return {"step": self.step, "id": self.row.id, "index": self.row.index, "rollout": self.name}


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
        # Where the configuration names no function verl injects one of its own that knows no writing.
        custom = config.reward.custom_reward_function.path not in (None, f"pkg://{writing_rl.__name__}")
        self.own_function = compute_score if custom else None
        if custom and not inspect.iscoroutinefunction(
            inspect.unwrap(getattr(compute_score, "func", compute_score))
        ):
            raise TypeError("the reward manager `parallel` needs an async reward function")
        self.transcript = Transcript(
            Path(self.settings.log_dir, "judge"), characters=self.settings.judge.transcript_characters
        )
        gc.freeze()  # what torch and Ray have made by now stays: looking through it takes 0.2 s each time
        gc.set_threshold(20_000, 20, 20)  # texts that are being judged are many objects, and none is garbage
        served = config.reward.reward_model
        self.served = Served(reward_router_address, served.model_path) if reward_router_address else None

    # What the run has only one of is there once the trainer is, which may be later than this process.

    @functools.cached_property
    def owner(self) -> ray.actor.ActorHandle:
        """The run's owner of the curriculum."""
        return connect()

    @functools.cached_property
    def recorded(self) -> Batches[Judged, bool]:
        """What the owner is told of rollouts."""
        return records(self.owner)

    @functools.cached_property
    def ending(self) -> asyncio.Task[None]:
        """Done once judging has ended in this run."""
        return asyncio.ensure_future(self._close_at_the_end())

    async def _close_at_the_end(self) -> None:
        await self.owner.ended.remote()
        self.channel.close()

    @functools.cached_property
    def channel(self) -> Channel:
        """This process's way to the judges, with the slots that the whole run shares."""
        return make_channel(self.settings.judge, connect_slots(self.settings.judge.limits))

    @functools.cached_property
    def judges(self) -> tuple[Judge, ...]:
        """Who judges."""
        return make_judges(self.settings.judge, writing_rl.TEMPLATES, self.channel, self.served)

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        """Judges one response.

        Args:
            data: One trajectory of verl's agent loop (the last output of a multi-turn one counts).

        Returns:
            `reward_score`, and in `reward_extra_info` the same keys for every rollout. A comparison without a
            verdict has `scored` false, and the score 0.0 beside it never reaches the optimizer: see
            `writing_rl.trainer.replay`.
        """
        with self.recorded.coming():
            return await self._judge(data)

    async def _judge(self, data: DataProto) -> dict[str, Any]:
        # `data[-1]` would cut a row out of every tensor, which takes a twentieth of what a text costs.
        rollout = _Rollout.of({column: values[-1] for column, values in data.non_tensor_batch.items()})
        training = (reference := rollout.reference) is not None
        if not training:
            reference = validation_index(
                self.settings.curriculum.validation_reference, len(rollout.references)
            )
        if self.ending.done():
            self.ending.result()  # the error, where the owner is lost
            return _report(Reward.unscored(STOPPED), reference)
        response = self._decode(data)
        reward = await self._reward(rollout, response, reference)
        if reward.comparison.reason != STOPPED:
            self.transcript.write(
                reward.comparison,
                about={**rollout.about(), "training": training, "reference_index": reference},
                texts={"response": response, "reference": rollout.references[reference]},
            )
            writing = Writing.of(judged_text(response))
            judged = Judged.of(rollout.row, rollout.step, rollout.name, training, reward.comparison, writing)
            await self.recorded.ask(judged)
        return _report(reward, reference)

    async def _reward(self, rollout: _Rollout, response: str, reference: int) -> Reward:
        """The reward of a text; unscored where it cannot be had. A judge that is lost ends the run."""
        compare = functools.partial(self._compare, rollout, response, reference)
        try:
            if self.own_function is not None:
                return await self._own_reward(rollout, response, reference, compare)
            return Reward.of(await compare(), self.settings.judge.vote, self.settings.rewards)
        except Unscored as unscored:
            return Reward.unscored(unscored.reason, unscored.detail)
        except JudgeError as error:
            # No question can be answered any more, and only the trainer can end a run.
            spent = isinstance(error, BudgetSpent)
            await self.owner.stop.remote(str(error), spent)
            self.channel.close()
            return Reward.unscored(STOPPED if spent else "judge")

    async def _compare(self, rollout: _Rollout, response: str, reference: int) -> Comparison:
        """Compares a text with a reference of its sample."""
        return await compare(
            self.judges,
            self.settings.judge.rules,
            prompt=rollout.ground_truth["prompt"],
            response=response,
            reference=rollout.references[reference],
            criteria=rollout.ground_truth.get("criteria"),
        )

    async def _own_reward(
        self, rollout: _Rollout, response: str, reference: int, compare: Callable[[], Awaitable[Comparison]]
    ) -> Reward:
        """What a reward function of the user's own says; it may leave any of the keywords to `**_`.

        `step` and `session` say which rollout it is (see `_Rollout`). `await compare()` makes the comparison
        that would have decided, which then also stands in the transcript and in the metrics.
        """
        made: list[Comparison] = []

        async def compare_and_keep() -> Comparison:
            made.append(await compare())
            return made[-1]

        assert self.own_function is not None
        result = await self.own_function(
            data_source=rollout.data_source,
            solution_str=response,
            ground_truth=rollout.ground_truth,
            extra_info=rollout.extra_info,
            reference_index=reference,
            step=rollout.step,
            session=rollout.session,
            judges=self.judges,
            rules=self.settings.judge.rules,
            rewards=self.settings.rewards,
            compare=compare_and_keep,
        )
        return Reward.of_result(result, made[-1] if made else None)

    def _decode(self, data: DataProto) -> str:
        """The text of a trajectory's last response, without padding and special tokens."""
        ids = data.batch["responses"][-1]
        length = int(data.batch["attention_mask"][-1, -len(ids) :].sum())
        return self.tokenizer.decode(ids[:length], skip_special_tokens=True)


def _report(reward: Reward, reference: int) -> dict[str, Any]:
    """What verl wants of a rollout; the extra information has the same keys for each."""
    result = reward.as_result(reference)
    score, outcome = result.pop("score"), reward.comparison.outcome
    scored, win = float(outcome is not Outcome.UNSCORED), float(outcome is Outcome.WIN)
    return {"reward_score": score, "reward_extra_info": {**result, "scored": scored, "win": win}}
