"""The pool of judge slots of a run: a Ray actor that all reward workers, on all nodes, take slots from."""

from __future__ import annotations

import ray

from writing_rl.judging.client.budget import Bill, Limits
from writing_rl.judging.client.slots import SharedSlots, SlotPool

NAME = "writing_rl_judge_slots"


def start_slots(slots: int, limits: Limits = Limits(), spent: Bill = Bill()) -> ray.actor.ActorHandle:
    """Starts the pool; call it once in a run. Arguments as those of `SlotPool`."""
    # Every process has at most one `take` under way, so calls never queue up before the actor.
    pool = ray.remote(SlotPool).options(name=NAME, num_cpus=0, max_restarts=0, max_concurrency=10_000)
    return pool.remote(slots, limits, spent)


def connect_slots(limits: Limits = Limits()) -> SharedSlots:
    """This process's use of the run's pool.

    Args:
        limits: Those that the pool was started with.

    Raises:
        ValueError: There is none.
    """
    pool = ray.get_actor(NAME)
    return SharedSlots(pool.take.remote, pool.give.remote, pool.spare.remote, metered=limits.any)
