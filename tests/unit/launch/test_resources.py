"""Whether a machine has the memory and the disk for a run."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import DictConfig

from writing_rl.errors import SetupError
from writing_rl.launch import resources
from writing_rl.launch.estimate import Estimate
from writing_rl.launch.resources import Memory, check_resources, checkpoints_at_once, host_memory
from writing_rl.launch.run_shape import RunShape

GB = 10**9
#: What a machine has that no test is about.
MACHINE = Memory(total=1000 * GB, free=900 * GB)
TAKES = Estimate(update=0, rollout=0, rollout_floor=0, host=220 * GB, checkpoint=183 * GB)
Usage = namedtuple("Usage", "total used free")


# Main memory


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    there = SimpleNamespace(total=MACHINE.total, available=MACHINE.free)
    monkeypatch.setattr(resources.psutil, "virtual_memory", lambda: there)


def groups(folder: Path, membership: str, files: dict[str, str | int]) -> Memory:
    """The memory of a process in these control groups."""
    for name, content in files.items():
        path = folder / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    (folder / "self").write_text(membership)
    return host_memory(folder / "cgroup", folder / "self")


LIMITED = {"memory.max": 64 * GB, "memory.current": 10 * GB}
LIMITED_V1 = {"memory/memory.limit_in_bytes": 64 * GB, "memory/memory.usage_in_bytes": 10 * GB}


def inside(folder: str, files: dict[str, int]) -> dict[str, str | int]:
    return {f"{folder}/{name}": content for name, content in files.items()}


@pytest.mark.parametrize(
    ("membership", "files", "memory"),
    [
        pytest.param("0::/", LIMITED, Memory(64 * GB, 54 * GB), id="version 2, in its own namespace"),
        pytest.param("0::/job", inside("job", LIMITED), Memory(64 * GB, 54 * GB), id="version 2, nested"),
        pytest.param(
            "0::/job/step",
            {**inside("job", LIMITED), "job/step/memory.max": "max", "job/step/memory.current": GB},
            Memory(64 * GB, 54 * GB),
            id="the limit is further out",
        ),
        pytest.param(
            "0::/job/step",
            {**inside("job", LIMITED), "job/step/memory.max": 8 * GB, "job/step/memory.current": GB},
            Memory(8 * GB, 7 * GB),
            id="both have one",
        ),
        pytest.param(
            "0::/job/step",
            {
                "job/memory.max": 64 * GB,
                "job/memory.current": 60 * GB,
                "job/step/memory.max": 32 * GB,
                "job/step/memory.current": GB,
            },
            Memory(32 * GB, 4 * GB),
            id="others of the job have used it up",
        ),
        pytest.param(
            "0::/docker/abc", LIMITED, Memory(64 * GB, 54 * GB), id="the host's path, mounted as root"
        ),
        pytest.param("0::/../other", LIMITED, Memory(64 * GB, 54 * GB), id="a path out of the namespace"),
        pytest.param("0::/", {"memory.max": "max", "memory.current": GB}, MACHINE, id="no limit"),
        pytest.param(
            "0::/", {"memory.max": 9999 * GB, "memory.current": GB}, MACHINE, id="more than there is"
        ),
        pytest.param("0::/", {"memory.max": 64 * GB}, MACHINE, id="a limit without a use"),
        pytest.param("0::/", {}, MACHINE, id="not mounted"),
        pytest.param("4:memory:/", LIMITED_V1, Memory(64 * GB, 54 * GB), id="version 1"),
        pytest.param(
            "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n1:name=systemd:/x\n0::/x",
            LIMITED_V1,
            Memory(64 * GB, 54 * GB),
            id="version 1 among others, with the host's path",
        ),
        pytest.param(
            "4:memory:/",
            {**LIMITED_V1, "memory/memory.limit_in_bytes": 9223372036854771712},
            MACHINE,
            id="version 1 without a limit",
        ),
        pytest.param(
            "0::/",
            {**LIMITED, "memory.stat": "anon 5\ninactive_file 4000000000\nactive_file 7"},
            Memory(64 * GB, 58 * GB),
            id="version 2 with cache that gives way",
        ),
        pytest.param(
            "4:memory:/",
            {**LIMITED_V1, "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 4000000000"},
            Memory(64 * GB, 58 * GB),
            id="version 1 with cache that gives way",
        ),
        pytest.param(
            "0::/", {"memory.max": GB, "memory.current": 2 * GB}, Memory(GB, 0), id="more used than allowed"
        ),
        pytest.param("", {}, MACHINE, id="no groups"),
        pytest.param("garbage\n1:2", {}, MACHINE, id="lines of another form"),
    ],
)
def test_a_containers_limit_is_the_memory(
    tmp_path: Path, membership: str, files: dict[str, str | int], memory: Memory
) -> None:
    assert groups(tmp_path, membership, files) == memory


def test_without_control_groups_the_machines_memory_counts(tmp_path: Path) -> None:
    assert host_memory(tmp_path, tmp_path / "absent") == MACHINE


# Checkpoints


@pytest.mark.parametrize(
    ("steps", "every", "actor", "critic", "done", "count"),
    [
        (405, 50, None, None, 0, 9),  # eight on the way and the last
        (400, 50, None, None, 0, 8),
        (405, 50, 1, 1, 0, 2),
        (405, 50, 2, 2, 0, 2),
        (405, 50, 3, 3, 0, 3),
        (405, 50, 3, 1, 0, 3),
        (405, 50, 1, None, 0, 9),  # the critic's pile up
        (405, 50, None, 1, 0, 9),
        (405, 50, 0, 0, 0, 9),  # as for verl, no limit
        (40, 50, None, None, 0, 1),
        (40, 50, 3, 3, 0, 1),
        (405, -1, None, None, 0, 1),  # where it ends early
        (405, 0, None, None, 0, 1),
        (405, 50, None, None, 250, 4),
        (405, 50, None, None, 260, 4),
        (405, 50, None, None, 400, 1),
        (405, 50, 1, 1, 350, 2),
        (405, 50, 1, 1, 405, 1),
    ],
)
def test_so_many_checkpoints_are_added_at_once(
    composed: Callable[..., DictConfig],
    steps: int,
    every: int,
    actor: int | None,
    critic: int | None,
    done: int,
    count: int,
) -> None:
    config = composed("gpu", f"trainer.save_freq={every}")
    config.trainer.max_actor_ckpt_to_keep, config.trainer.max_critic_ckpt_to_keep = actor, critic
    assert checkpoints_at_once(config, steps, done) == count


def test_a_critic_that_is_not_trained_keeps_nothing(composed: Callable[..., DictConfig]) -> None:
    config = composed("gpu_grpo", "trainer.max_actor_ckpt_to_keep=1", "trainer.max_critic_ckpt_to_keep=null")
    assert checkpoints_at_once(config, 405) == 2


# What is too small


@pytest.fixture
def config(
    composed: Callable[..., DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> DictConfig:
    """A run of PPO on 8 GPUs, on a machine that has enough of everything."""
    disk(monkeypatch, 1000 * GB, 16 * GB)
    monkeypatch.setattr(resources, "host_memory", lambda: MACHINE)
    return composed("gpu", f"trainer.default_local_dir={tmp_path}")


def disk(monkeypatch: pytest.MonkeyPatch, free: int, shared: int) -> None:
    monkeypatch.setattr(
        resources.shutil,
        "disk_usage",
        lambda path: Usage(0, 0, shared if path == resources.SHARED else free),
    )


def test_what_is_taken_and_there_is_said(config: DictConfig) -> None:
    assert check_resources(config, RunShape.of(config), TAKES, 405) == [
        "disk: 2 checkpoints of 183 GB at once, 1,000 GB free",
        "main memory: about 220 GB of 900 GB free on each node (an estimate)",
        "/dev/shm: 16 GB free, 2.1 GB are needed",
    ]


@pytest.mark.parametrize(
    ("size", "said"), [(3_400_000, "1 checkpoint of 3.4 MB"), (6_600_000_000, "1 checkpoint of 6.6 GB")]
)
def test_small_sizes_are_said_in_their_own_unit(config: DictConfig, size: int, said: str) -> None:
    config.trainer.save_freq = 1000
    assert said in check_resources(config, RunShape.of(config), replace(TAKES, checkpoint=size), 405)[0]


def test_a_disk_that_holds_too_few_checkpoints_is_refused(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk(monkeypatch, 365 * GB, 16 * GB)
    with pytest.raises(SetupError) as error:
        check_resources(config, RunShape.of(config), TAKES, 405)
    assert str(error.value).startswith("disk: 2 checkpoints of 183 GB at once, 365 GB free in ")
    for remedy in ("max_actor_ckpt_to_keep", "save_freq", "default_local_dir"):
        assert remedy in str(error.value)


def test_a_run_that_resumes_needs_no_room_for_what_it_has_saved(
    config: DictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.trainer.max_actor_ckpt_to_keep = None
    disk(monkeypatch, 4 * 183 * GB, 16 * GB)
    with pytest.raises(SetupError, match="disk: 9 checkpoints"):
        check_resources(config, RunShape.of(config), TAKES, 405)
    (tmp_path / "global_step_250").mkdir()
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("250")
    assert "4 checkpoints" in check_resources(config, RunShape.of(config), TAKES, 405)[0]


def test_a_machine_with_too_little_memory_is_refused(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "host_memory", lambda: Memory(219 * GB, 100 * GB))
    with pytest.raises(
        SetupError, match=r"about 220 GB of 100 GB free .*, 219 GB in all: use a profile with LoRA"
    ):
        check_resources(config, RunShape.of(config), TAKES, 405)


def test_memory_that_others_use_now_is_said_but_not_refused(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "host_memory", lambda: Memory(221 * GB, 100 * GB))
    assert "220 GB of 100 GB free" in check_resources(config, RunShape.of(config), TAKES, 405)[1]


def test_the_shared_memory_of_a_bare_container_is_refused(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk(monkeypatch, 1000 * GB, 64 << 20)
    with pytest.raises(
        SetupError, match=r"/dev/shm: 67.1 MB free, .*: start the container with --shm-size=16g"
    ):
        check_resources(config, RunShape.of(config), TAKES, 405)


def test_a_run_on_the_cpu_shares_no_memory(config: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    disk(monkeypatch, 1000 * GB, 0)
    assert len(check_resources(config, replace(RunShape.of(config), on_cpu=True), TAKES, 405)) == 2


def test_of_a_cluster_only_the_disk_is_this_machines(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setattr(resources, "host_memory", lambda: Memory(GB, GB))
    (line,) = check_resources(config, RunShape.of(config), TAKES, 405)
    assert line.startswith("disk: ")
