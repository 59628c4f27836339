"""The process that runs the trainer: verl's task runner, under a watchdog."""

from __future__ import annotations

import functools
from typing import Any

import ray
from omegaconf import DictConfig
from verl.trainer.main_ppo import TaskRunnerV1

from writing_rl.trainer.registries import check_registries
from writing_rl.trainer.watchdog import Watchdog, run_watched
from writing_rl.util.process import end_forks_with_us

# `TaskRunnerV1` is decorated by `ray.remote`, and an actor class cannot be inherited from.
_TaskRunner: Any = TaskRunnerV1.__ray_metadata__.modified_class


class WatchedTaskRunner(_TaskRunner):
    """verl's task runner (v0.9.1), whose run ends when a process that it needs has died, and leaves none."""

    def __init__(self) -> None:
        super().__init__()
        end_forks_with_us()
        self._watchdog = Watchdog()

    def init_agent_loop_manager(self) -> None:
        super().init_agent_loop_manager()
        trainer = self.trainer
        groups = {"training worker": trainer.actor_rollout_wg}
        if trainer.use_critic:
            groups["critic worker"] = trainer.critic_wg
        actors = {
            f"{name} {rank}": worker
            for name, group in groups.items()
            for rank, worker in enumerate(group.workers)
        }
        actors |= _numbered("reward worker", trainer.reward_loop_manager.reward_loop_workers)
        actors |= _numbered("agent loop worker", self.agent_loop_manager.agent_loop_workers)
        replicas = trainer.llm_server_manager.get_replicas()
        actors |= _numbered("vLLM server", [server for replica in replicas for server in replica.servers])
        actors["owner of the reference index"] = trainer.owner
        actors["pool of judge slots"] = trainer.slots
        addresses = {f"vLLM engine {rank}": replica.server_address for rank, replica in enumerate(replicas)}
        if served := trainer.reward_loop_manager.reward_model_manager:
            actors |= _numbered("vLLM server of the judge", served.server_handles)
            addresses |= {
                f"vLLM engine of the judge {rank}": address
                for rank, address in enumerate(served.server_addresses)
            }
        self._watchdog.watch(actors, addresses)

    def run(self, config: DictConfig) -> None:
        """Runs the training.

        Raises:
            RunFailure: A process of the run died, or a rollout failed.
        """
        check_registries()
        run_watched(functools.partial(super().run, config), self._watchdog)


def _numbered(name: str, handles: list[ray.actor.ActorHandle]) -> dict[str, ray.actor.ActorHandle]:
    return {f"{name} {number}": handle for number, handle in enumerate(handles)}


RemoteTaskRunner = ray.remote(num_cpus=1)(WatchedTaskRunner)
