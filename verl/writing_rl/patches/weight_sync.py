"""Patch of verl 0.9.1: two trainings on one machine send their weights through sockets of their own.

The trainer hands new weights to vLLM through a socket in `/tmp` whose name holds the number of the Ray job,
so that two trainings do not meet there. But every Ray cluster counts its jobs from 1, and each training has
a cluster of its own. Where two of them synchronize at the same moment, one can connect to the socket of the
other, and both wait for ever. So the address of the cluster is added to the name, on both sides.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

from writing_rl.patches.expect import expect

JOB_VARIABLE = "VERL_RAY_JOB_ID"


def unique_job_id(job_id: str, cluster: str) -> str:
    """The number of a job that no other cluster's job of this machine has.

    Args:
        job_id: Ray's, unique in its cluster.
        cluster: Address of the cluster, `host:port`.
    """
    return f"{job_id}-{cluster}".replace(":", "-").replace("/", "-")


def patch_server(module: ModuleType) -> None:
    """Has vLLM's workers, which inherit its environment, listen to the trainer of their own cluster."""
    kind = module.vLLMHttpServer
    _expect(kind.__init__, contains=f'os.environ["{JOB_VARIABLE}"] = ray.get_runtime_context().get_job_id()')

    def rename(_: Any) -> None:
        os.environ[JOB_VARIABLE] = _here()

    kind.__init__ = _and_then(kind.__init__, rename)


def patch_sender(module: ModuleType) -> None:
    """Has the trainer send to the vLLM of its own cluster."""
    kind = module.ServerAdapter
    _expect(kind.__init__, contains='f"ipc:///tmp/rl-colocate-zmq-{job_id}-replica-')

    def rename(adapter: Any) -> None:
        import ray

        job = f"zmq-{ray.get_runtime_context().get_job_id()}-"
        adapter.zmq_handle = adapter.zmq_handle.replace(job, f"zmq-{_here()}-")

    kind.__init__ = _and_then(kind.__init__, rename)


def _here() -> str:
    import ray

    context = ray.get_runtime_context()
    return unique_job_id(context.get_job_id(), context.gcs_address)


def _and_then(first: Callable[..., None], then: Callable[[Any], None]) -> Callable[..., None]:
    @functools.wraps(first)
    def both(self: Any, *arguments: Any, **keywords: Any) -> None:
        first(self, *arguments, **keywords)
        then(self)

    return both


def _expect(function: Callable[..., Any], contains: str) -> None:
    expect(function, contains=contains, distribution="verl", written_for="0.9.1")
