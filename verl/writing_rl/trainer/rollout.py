"""An agent loop whose failures carry their cause.

verl 0.9.1 marks the group of a failed rollout as `failure` and leaves the reason in the log of some worker.
Here the reason travels with the mark, so that a run can end with the error that ended it.
"""

from __future__ import annotations

from typing import Any

import ray
import transfer_queue as tq
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ, AgentLoopWorkerTQ

# `AgentLoopWorkerTQ` is decorated by `ray.remote`, and an actor class cannot be inherited from.
_AgentLoopWorker: Any = AgentLoopWorkerTQ.__ray_metadata__.modified_class


class ReportingAgentLoopWorker(_AgentLoopWorker):
    """verl's agent loop worker, which also writes the error of a failed rollout to its prompt's tag."""

    async def _run_agent_loop(self, sampling_params: dict, trajectory: dict, **kwargs: Any) -> Any:
        try:
            return await super()._run_agent_loop(sampling_params, trajectory, **kwargs)
        except Exception as error:
            text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
            partition_id = "val" if trajectory["validate"] else "train"
            tag = {"error": f"{type(error).__name__}: {text[:500]}"}
            await tq.async_kv_put(key=kwargs["uid"], partition_id=partition_id, tag=tag)
            raise


class ReportingAgentLoopManager(AgentLoopManagerTQ):
    """verl's agent loop manager with `ReportingAgentLoopWorker`s."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.agent_loop_workers_class = ray.remote(ReportingAgentLoopWorker)
