"""Whether the visible GPUs are those that the settings ask for, before anything is fetched or loaded."""

from __future__ import annotations

import os
from collections.abc import Sequence

from omegaconf import DictConfig

from writing_rl.errors import SetupError
from writing_rl.launch.run_shape import RunShape
from writing_rl.util.gpus import BF16, LEAST_DRIVER, VISIBLE, Gpu, describe, visible_gpus


def joins_cluster(config: DictConfig) -> bool:
    """Whether the run goes to a Ray cluster that runs already, whose GPUs this machine does not show."""
    address = config.ray_kwargs.ray_init.get("address") or os.environ.get("RAY_ADDRESS")
    return bool(address) and address != "local"


def uses_other_machines(config: DictConfig) -> bool:
    """Whether processes of the run may be on machines other than this one."""
    return joins_cluster(config) or config.trainer.nnodes > 1


def check_gpus(config: DictConfig, shape: RunShape) -> list[Gpu]:
    """Checks the visible GPUs.

    Args:
        config: The resolved configuration.
        shape: Its numbers.

    Returns:
        The GPUs that the run will use on this machine; none for the CPU, or where only a cluster knows.

    Raises:
        SetupError: There are too few, or one of them cannot be used.
    """
    if shape.on_cpu:
        return []
    gpus = visible_gpus()
    if uses_other_machines(config):
        return gpus[: shape.gpus_per_node]
    if not gpus:
        hidden = f" ({VISIBLE} is '{os.environ[VISIBLE]}')" if VISIBLE in os.environ else ""
        raise SetupError(
            f"this profile trains on GPUs, and none is there{hidden}: install the NVIDIA driver "
            f"({LEAST_DRIVER} or newer), or run on the CPU with PROFILE=cpu and a small model"
        )
    if len(gpus) < shape.gpus_per_node:
        raise SetupError(
            f"trainer.n_gpus_per_node is {shape.gpus_per_node}, and {len(gpus)} are visible "
            f"({describe(gpus)}): leave it out, or see {VISIBLE}"
        )
    check_judge_gpus(config, shape, len(gpus))
    used = gpus[: shape.gpus_per_node]
    check_capability(used)
    check_free(used, shape)
    return used


def check_judge_gpus(config: DictConfig, shape: RunShape, visible: int) -> None:
    """A judge that verl serves has GPUs of its own beside the trainer's.

    Raises:
        SetupError: They are not there.
    """
    served = config.reward.reward_model
    if not (served.enable and served.enable_resource_pool):
        return
    wanted = served.n_gpus_per_node * served.nnodes
    if shape.gpus + wanted > visible:
        left = visible - wanted
        remedy = f"set trainer.n_gpus_per_node={left}, or give the judge fewer" if left > 0 else "use more"
        raise SetupError(
            f"trainer.n_gpus_per_node is {shape.gpus}, and the judge takes {wanted} more "
            f"(reward.reward_model.n_gpus_per_node), but {visible} GPUs are visible: {remedy}"
        )


def check_capability(gpus: Sequence[Gpu]) -> None:
    """All GPUs compute in bfloat16, which vLLM and FSDP use.

    Raises:
        SetupError: One does not.
    """
    for gpu in gpus:
        if (0, 0) < gpu.compute_capability < BF16:
            raise SetupError(
                f"GPU {gpu.index} ({gpu.name}) has compute capability "
                f"{'.'.join(map(str, gpu.compute_capability))} and no bfloat16: use GPUs of 8.0 (Ampere) or "
                f"newer, or leave it out in {VISIBLE}"
            )


def check_free(gpus: Sequence[Gpu], shape: RunShape) -> None:
    """No other process holds memory that vLLM will ask for: it counts its share of all, not of what is free.

    Raises:
        SetupError: Too little is free.
    """
    for gpu in gpus:
        needed = int(shape.utilization * gpu.total_mib)
        if gpu.free_mib < needed:
            raise SetupError(
                f"GPU {gpu.index} has {gpu.free_mib} of {gpu.total_mib} MiB free, and vLLM asks for "
                f"{needed} (actor_rollout_ref.rollout.gpu_memory_utilization): end what runs there "
                f"(nvidia-smi shows it), or choose other GPUs in {VISIBLE}"
            )
