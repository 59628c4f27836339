"""The replay buffer of a synchronous run: only scored rollouts train, and a failed rollout ends the run.

verl 0.9.1 drops a rollout whose reward raised and trains on the rest of its group. That is not neutral: a
lone survivor of a GRPO group gets mean 0 and standard deviation 1, so a tie would become an advantage of
+0.5. Here an unscored rollout arrives marked as such, is taken out before the trainer sees the batch, and
takes its group along when fewer than two scored rollouts of it are left. Where nothing is left,
`NothingScored` tells the trainer to go on without an update. A rollout that really failed (its process died,
vLLM stopped) never passes for an unscored one.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import transfer_queue as tq
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from writing_rl.errors import RunFailure
from writing_rl.trainer.groups import trainable

#: Seconds between two looks at the queue. verl's 2.0 s are most of a step of a small model.
POLL_INTERVAL_S = 0.1


class NothingScored(Exception):
    """No rollout of a batch may train.

    Attributes:
        batch: The batch, which is still to be cleared.
        reasons: Number of rollouts by the reason why they are unscored; empty for a scored one that was
            alone in its group.
    """

    def __init__(self, batch: KVBatchMeta, reasons: Counter[str]) -> None:
        super().__init__(", ".join(f"{reason or 'alone'} {count}" for reason, count in reasons.most_common()))
        self.batch = batch
        self.reasons = reasons


class ScoredReplayBuffer(ReplayBuffer):
    """verl's synchronous `ReplayBuffer` (v0.9.1) with the rules of the module docstring.

    Named in `trainer.v1.sampler.custom_sampler`; `sampler_kwargs` is not used.
    """

    #: Set by the trainer: whether advantages are relative to a group.
    grouped = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"poll_interval": POLL_INTERVAL_S, **kwargs})

    def _sync_metadata_from_transfer_queue(self) -> None:
        super()._sync_metadata_from_transfer_queue()
        for partition_id, failed in self.failure_keys.items():
            if failed:
                raise RunFailure(self._describe_failure(partition_id, failed))

    def _describe_failure(self, partition_id: str, failed: set[str]) -> str:
        tags = (tq.kv_list(partition_id) or {}).get(partition_id, {})
        causes = Counter(
            tags.get(uid, {}).get("error", "its error stands above in this log") for uid in failed
        )
        cause, _ = causes.most_common(1)[0]
        return f"a rollout failed for {len(failed)} prompt(s) of the {partition_id} batch: {cause}"

    def _materialize_batch(
        self, partition_id: str, selected_prompt_uids: list[str], partition_snapshot: dict[str, dict]
    ) -> KVBatchMeta:
        batch = super()._materialize_batch(partition_id, selected_prompt_uids, partition_snapshot)
        infos = tq.kv_batch_get(keys=batch.keys, partition_id=partition_id, select_fields=["extra_fields"])
        extras = [getattr(extra, "data", extra) for extra in infos["extra_fields"]]
        scored = [bool(extra["reward_extra_info"]["scored"]) for extra in extras]
        keep = trainable(batch.keys, scored, grouped=self.grouped and partition_id == "train")
        dropped = [key for key, kept in zip(batch.keys, keep, strict=True) if not kept]
        if len(dropped) == len(batch.keys):
            raise NothingScored(batch, Counter(str(extra["reward_extra_info"]["reason"]) for extra in extras))
        if dropped:
            tq.kv_clear(keys=dropped, partition_id=partition_id)
        return KVBatchMeta(
            partition_id=partition_id,
            keys=[key for key, kept in zip(batch.keys, keep, strict=True) if kept],
            tags=[tag for tag, kept in zip(batch.tags, keep, strict=True) if kept],
        )
