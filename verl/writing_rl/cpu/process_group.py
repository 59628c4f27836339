"""Patch of verl 0.9.1: the process group of CPU workers.

verl asks torch for the backend `cpu:gloo,<device>:<backend>`, which on the CPU names `cpu` twice; torch
refuses that as a duplicate.
"""

from __future__ import annotations

import functools

import verl.utils.distributed as verl_distributed

from writing_rl.patches.expect import expect

expect(
    verl_distributed.initialize_global_process_group_ray,
    contains='backend = backend or f"cpu:gloo,{get_device_name()}:{get_nccl_backend()}"',
    distribution="verl",
    written_for="0.9.1",
)
verl_distributed.initialize_global_process_group_ray = functools.partial(
    verl_distributed.initialize_global_process_group_ray, backend="cpu:gloo"
)
