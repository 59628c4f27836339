"""Whether the visible GPUs are those that a run asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from omegaconf import DictConfig, OmegaConf

from writing_rl.errors import SetupError
from writing_rl.launch import gpu_checks
from writing_rl.launch.gpu_checks import check_capability, check_gpus, joins_cluster
from writing_rl.launch.run_shape import RunShape
from writing_rl.util.gpus import VISIBLE, Gpu

A100 = Gpu(0, "GPU-0", "NVIDIA A100-SXM4-80GB", 81920, 81000, "580.65.06", (8, 0))


@pytest.fixture
def config(composed: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch) -> DictConfig:
    """A run on two GPUs of this machine, of which vLLM takes 0.6."""
    monkeypatch.delenv("RAY_ADDRESS")
    return composed("gpu_grpo", "trainer.n_gpus_per_node=2")


@pytest.fixture
def shape(config: DictConfig) -> RunShape:
    return RunShape.of(config)


Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Makes the given GPUs the visible ones; four until it is called."""

    def has(*there: Gpu) -> None:
        monkeypatch.setattr(gpu_checks, "visible_gpus", lambda: list(there))

    has(*(replace(A100, index=number) for number in range(4)))
    return has


def test_a_run_uses_as_many_as_it_asks_for(machine: Machine, config: DictConfig, shape: RunShape) -> None:
    assert [gpu.index for gpu in check_gpus(config, shape)] == [0, 1]


def test_a_run_on_the_cpu_looks_at_none(machine: Machine, config: DictConfig, shape: RunShape) -> None:
    machine()
    assert check_gpus(config, replace(shape, on_cpu=True)) == []


@pytest.mark.parametrize(
    ("visible", "said"),
    [
        (None, "none is there: install the NVIDIA driver .580 or newer., or run .* PROFILE=cpu"),
        ("", r"none is there \(CUDA_VISIBLE_DEVICES is ''\)"),
    ],
)
def test_where_there_is_none_the_remedies_are_named(
    machine: Machine,
    config: DictConfig,
    shape: RunShape,
    monkeypatch: pytest.MonkeyPatch,
    visible: str | None,
    said: str,
) -> None:
    machine()
    monkeypatch.delenv(VISIBLE, raising=False)
    if visible is not None:
        monkeypatch.setenv(VISIBLE, visible)
    with pytest.raises(SetupError, match=said):
        check_gpus(config, shape)


def test_too_few_are_counted(machine: Machine, config: DictConfig, shape: RunShape) -> None:
    with pytest.raises(SetupError, match=r"n_gpus_per_node is 8, and 4 are visible .4 x NVIDIA A100"):
        check_gpus(config, replace(shape, gpus=8, gpus_per_node=8))


@pytest.mark.parametrize("capability", [(8, 0), (8, 9), (12, 0), (0, 0)])
def test_a_gpu_with_bfloat16_passes_or_one_that_does_not_tell(capability: tuple[int, int]) -> None:
    check_capability([replace(A100, compute_capability=capability)])


def test_a_gpu_without_bfloat16_is_named() -> None:
    old = replace(A100, index=3, name="Tesla T4", compute_capability=(7, 5))
    with pytest.raises(SetupError, match=r"GPU 3 \(Tesla T4\) has compute capability 7.5 and no bfloat16"):
        check_capability([A100, old])


def test_an_old_gpu_that_is_not_used_does_not_matter(
    machine: Machine, config: DictConfig, shape: RunShape
) -> None:
    machine(A100, A100, replace(A100, compute_capability=(7, 5)))
    assert len(check_gpus(config, shape)) == 2


def test_memory_that_another_process_holds_is_missed(
    machine: Machine, config: DictConfig, shape: RunShape
) -> None:
    machine(A100, replace(A100, index=1, free_mib=49152))
    check_gpus(config, shape)
    machine(A100, replace(A100, index=1, free_mib=49151))
    with pytest.raises(SetupError, match="GPU 1 has 49151 of 81920 MiB free, and vLLM asks for 49152"):
        check_gpus(config, shape)


@pytest.mark.parametrize("elsewhere", ["ray_kwargs.ray_init.address", "RAY_ADDRESS", "trainer.nnodes"])
def test_what_other_machines_have_is_not_asked_of_this_one(
    machine: Machine, config: DictConfig, monkeypatch: pytest.MonkeyPatch, elsewhere: str
) -> None:
    machine()
    if elsewhere == "RAY_ADDRESS":
        monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    else:
        value = 2 if elsewhere == "trainer.nnodes" else "10.0.0.1:6379"
        OmegaConf.update(config, elsewhere, value, force_add=True)
    assert check_gpus(config, RunShape.of(config)) == []


@pytest.mark.parametrize(
    ("address", "joins"), [("auto", True), ("10.0.0.1:6379", True), ("local", False), ("", False)]
)
def test_an_address_names_a_cluster(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch, address: str, joins: bool
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert joins_cluster(config) is joins


@pytest.mark.parametrize(
    ("judge", "remedy"),
    [
        (2, ""),
        (3, ": set trainer.n_gpus_per_node=1, or give the judge fewer"),
        (4, "4 GPUs are visible: use more"),
    ],
)
def test_a_judge_that_verl_serves_has_gpus_beside_the_trainers(
    machine: Machine, config: DictConfig, shape: RunShape, judge: int, remedy: str
) -> None:
    config.reward.reward_model.update(
        {"enable": True, "enable_resource_pool": True, "nnodes": 1, "n_gpus_per_node": judge}
    )
    if not remedy:
        assert len(check_gpus(config, shape)) == 2
        return
    with pytest.raises(SetupError, match=f"and the judge takes {judge} more .*{remedy}"):
        check_gpus(config, shape)
