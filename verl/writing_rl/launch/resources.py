"""Whether this machine has the memory and the disk that a run takes, each said in a line."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from omegaconf import DictConfig

from writing_rl.errors import SetupError
from writing_rl.launch.estimate import Estimate
from writing_rl.launch.gpu_checks import joins_cluster
from writing_rl.launch.resumption import steps_done
from writing_rl.launch.run_shape import RunShape, trains_critic

#: Bytes of /dev/shm that NCCL and Ray need with GPUs. A container has 64 MiB unless it is told otherwise.
LEAST_SHARED = 2 << 30
CGROUPS = Path("/sys/fs/cgroup")
SHARED = Path("/dev/shm")
#: A control group's limit, what it uses, and what of that is cache that gives way: version 2, then version 1.
FILES = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


@dataclass(frozen=True)
class Memory:
    """Main memory in bytes: what there is for this process, and what of it is free."""

    total: int
    free: int


def host_memory(cgroups: Path = CGROUPS, membership: Path = Path("/proc/self/cgroup")) -> Memory:
    """The machine's memory, or what its container may use of it."""
    machine = psutil.virtual_memory()
    total, free = int(machine.total), int(machine.available)
    for limit, used in _limits(cgroups, membership):
        total, free = min(total, limit), min(free, max(0, limit - used))
    return Memory(total, free)


def _limits(cgroups: Path, membership: Path) -> Iterator[tuple[int, int]]:
    """(limit, used) of the control groups that this process is in, from the innermost outwards."""
    try:
        groups = [line.split(":", 2) for line in membership.read_text().splitlines()]
    except OSError:
        return
    for _, controllers, place in (group for group in groups if len(group) == 3):
        if controllers not in FILES:
            continue
        root = cgroups / controllers
        limit_file, used_file, cache = FILES[controllers]
        folder = root / place.strip("/")
        # In a container the path may be the host's: then only the root of what is mounted is there.
        for group in (folder, *folder.parents):
            limit, used = _number(group / limit_file), _number(group / used_file)
            if limit is not None and used is not None:
                yield limit, max(0, used - _statistic(group / "memory.stat", cache))
            if group == root:
                break


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None  # `max` is no limit


def _statistic(path: Path, name: str) -> int:
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return 0
    return next((int(line[1]) for line in lines if line[0] == name), 0)


def checkpoints_at_once(config: DictConfig, steps: int, done: int = 0) -> int:
    """Checkpoints that a run adds to the disk at once, at most (verl 0.9.1, `checkpoint_manager.py`).

    Args:
        config: The resolved configuration.
        steps: Steps of the whole run.
        done: Steps that are behind it where it resumes: what was saved then is on the disk already.
    """
    every = int(config.trainer.save_freq)
    # Also without saving on the way there is one where the run ends early.
    saves = math.ceil(steps / every) - done // every if every > 0 else 1
    limits = [config.trainer.max_actor_ckpt_to_keep]
    if trains_critic(config):
        limits.append(config.trainer.max_critic_ckpt_to_keep)
    # The new one is written before the old one goes, but only where a single one is kept.
    kept = max(2, *map(int, limits)) if all(limits) else saves
    return max(1, min(saves, kept))


def check_resources(config: DictConfig, shape: RunShape, takes: Estimate, steps: int) -> list[str]:
    """Checks disk, main memory and shared memory.

    Args:
        config: The resolved configuration.
        shape: Its numbers.
        takes: What the run takes, by estimate.
        steps: Steps of the whole run.

    Returns:
        A line for each.

    Raises:
        SetupError: One is too small for certain.
    """
    folder = Path(config.trainer.default_local_dir)
    count = checkpoints_at_once(config, steps, steps_done(config))
    free = shutil.disk_usage(folder).free
    checkpoints = "1 checkpoint" if count == 1 else f"{count} checkpoints"
    disk = f"disk: {checkpoints} of {_size(takes.checkpoint)} at once, {_size(free)} free"
    if count * takes.checkpoint > free:
        raise SetupError(
            f"{disk} in {folder}: keep fewer with trainer.max_actor_ckpt_to_keep and "
            "max_critic_ckpt_to_keep, save less often with trainer.save_freq, or set "
            "trainer.default_local_dir to a larger disk"
        )
    if joins_cluster(config):  # whose nodes are not this machine
        return [disk]
    memory = host_memory()
    host = f"main memory: about {_size(takes.host)} of {_size(memory.free)} free on each node (an estimate)"
    if takes.host > memory.total:
        raise SetupError(
            f"{host}, {_size(memory.total)} in all: use a profile with LoRA or without a critic, or a "
            "machine (or container) with more"
        )
    if shape.on_cpu:
        return [disk, host]
    shared = shutil.disk_usage(SHARED).free if SHARED.is_dir() else 0
    line = f"/dev/shm: {_size(shared)} free, {_size(LEAST_SHARED)} are needed"
    if shared < LEAST_SHARED:
        raise SetupError(f"{line}: start the container with --shm-size=16g or --ipc=host")
    return [disk, host, line]


def _size(count: int) -> str:
    return (
        f"{count / 1e9:,.0f} GB"
        if count >= 1e10
        else f"{count / 1e9:.1f} GB"
        if count >= 1e8
        else f"{count / 1e6:.1f} MB"
    )
