"""The profiles as verl 0.9.1 takes them: composed, validated, and made into verl's own dataclasses."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import omega_conf_to_dataclass, validate_config

from writing_rl.launch import compose as composing
from writing_rl.launch.compose import VARIABLE, compose, locate_verl_config
from writing_rl.launch.main import resolve
from writing_rl.launch.profiles import names
from writing_rl.launch.run_shape import RunShape
from writing_rl.settings import Settings
from writing_rl.util.gpus import Gpu

ACTOR = "actor_rollout_ref.actor"
ROLLOUT = "actor_rollout_ref.rollout"
GPU_PROFILES = ("original", "gpu", "gpu_grpo", "gpu_lora", "gpu_small")
#: What the original Writing-RL trains with, by verl 0.9.1's names, and what `gpu` has in its place.
ORIGINAL = {
    "algorithm.adv_estimator": "gae",
    "algorithm.use_kl_in_reward": False,
    "data.train_batch_size": 32,
    "data.max_prompt_length": 4096,
    "data.max_response_length": 10000,
    f"{ACTOR}.strategy": "fsdp",
    f"{ACTOR}.ppo_mini_batch_size": 16,
    f"{ACTOR}.entropy_coeff": 0.001,
    f"{ACTOR}.ppo_max_token_len_per_gpu": 16500,
    f"{ACTOR}.optim.lr": 1e-6,
    f"{ACTOR}.optim.lr_warmup_steps_ratio": 0.4,
    f"{ACTOR}.use_kl_loss": False,
    f"{ACTOR}.use_dynamic_bsz": True,
    f"{ACTOR}.fsdp_config.param_offload": True,
    f"{ACTOR}.fsdp_config.optimizer_offload": True,
    "actor_rollout_ref.model.use_remove_padding": True,
    "actor_rollout_ref.model.enable_gradient_checkpointing": True,
    f"{ROLLOUT}.name": "vllm",
    f"{ROLLOUT}.n": 1,
    f"{ROLLOUT}.temperature": 1.0,
    f"{ROLLOUT}.tensor_model_parallel_size": 2,
    f"{ROLLOUT}.gpu_memory_utilization": 0.7,
    f"{ROLLOUT}.free_cache_engine": False,
    f"{ROLLOUT}.enable_chunked_prefill": False,
    f"{ROLLOUT}.max_num_batched_tokens": 16384,
    f"{ROLLOUT}.val_kwargs.do_sample": False,
    f"{ROLLOUT}.log_prob_use_dynamic_bsz": True,
    "critic.strategy": "fsdp",
    "critic.optim.lr": 1e-5,
    "critic.optim.lr_warmup_steps_ratio": 0.05,
    "critic.ppo_mini_batch_size": 16,
    "critic.use_dynamic_bsz": True,
    "critic.model.use_remove_padding": True,
    "critic.fsdp.param_offload": True,
    "critic.fsdp.optimizer_offload": True,
    "writing_rl.judge.parallel": "12",
    "trainer.device": "cuda",
    "trainer.save_freq": 50,
    "trainer.test_freq": 50,
    "trainer.val_before_train": False,
    "trainer.total_epochs": 15,
    "trainer.total_training_steps": 405,
}
TODAY = {
    f"{ACTOR}.strategy": "fsdp2",
    f"{ROLLOUT}.gpu_memory_utilization": 0.6,
    f"{ROLLOUT}.free_cache_engine": True,
    f"{ROLLOUT}.enable_chunked_prefill": True,
    f"{ROLLOUT}.max_num_batched_tokens": 8192,
    f"{ROLLOUT}.val_kwargs.do_sample": True,
    "critic.strategy": "fsdp2",
    "writing_rl.judge.parallel": "64",
    "trainer.val_before_train": True,
    "trainer.total_epochs": 1000,
}
Resolved = Callable[..., DictConfig]


@functools.cache
def _composed(*overrides: str) -> DictConfig:
    return compose(list(overrides))


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch, model: Path) -> Resolved:
    """Composes and resolves Hydra overrides on a machine with the given number of GPUs."""
    monkeypatch.setenv(VARIABLE, "")  # composing sets it; this puts it back
    monkeypatch.setenv("BASE_MODEL", str(model))
    monkeypatch.setenv("JUDGE_MODEL", "judge-1")

    def make(*overrides: str, gpus: int = 0) -> DictConfig:
        gpu = Gpu(0, "GPU-0", "A100", 81920, 81000, "580.1", (8, 0))
        monkeypatch.setattr(composing, "visible_gpus", lambda: [gpu] * gpus)
        config = copy.deepcopy(_composed(*overrides))
        resolve(config)
        return config

    return make


def test_every_profile_is_looked_at() -> None:
    assert set(names()) == {*GPU_PROFILES, "cpu", "quickstart_cpu"}


@pytest.mark.parametrize("profile", names())
def test_verl_accepts_a_profile(resolved: Resolved, profile: str) -> None:
    config = resolved(f"profile={profile}")
    validate_config(
        config=config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config)
    )


@pytest.mark.parametrize("profile", names())
def test_verls_own_dataclasses_take_a_profile(resolved: Resolved, profile: str) -> None:
    config = resolved(f"profile={profile}")
    parts = config.actor_rollout_ref
    actor = omega_conf_to_dataclass(parts.actor)
    assert actor.engine.strategy == parts.actor.strategy
    assert omega_conf_to_dataclass(parts.rollout).name == "vllm"
    assert omega_conf_to_dataclass(parts.model).lora_rank == parts.model.lora_rank
    critic = omega_conf_to_dataclass(config.critic)
    assert critic.ppo_infer_max_token_len_per_gpu == critic.ppo_max_token_len_per_gpu
    assert omega_conf_to_dataclass(config.algorithm).adv_estimator == config.algorithm.adv_estimator


@pytest.mark.parametrize("profile", names())
def test_a_runs_shape_is_what_verl_reads(resolved: Resolved, profile: str) -> None:
    config = resolved(f"profile={profile}")
    shape = RunShape.of(config)
    assert (shape.critic is not None) is need_critic(config)
    with_adapters = config.actor_rollout_ref.model.lora_rank > 0
    assert (shape.reference is not None) is (need_reference_policy(config) and not with_adapters)
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    assert shape.actor.mini_batch == actor.ppo_mini_batch_size
    assert shape.actor.offloads_weights == actor.engine.param_offload
    assert shape.actor.saves == tuple(actor.checkpoint.save_contents)


@pytest.mark.parametrize(
    ("setting", "ulysses"),
    [
        (f"{ACTOR}.fsdp_config.ulysses_sequence_parallel_size=2", (2, 1, 1)),
        (f"{ACTOR}.ulysses_sequence_parallel_size=2", (2, 2, 1)),  # the older name; the reference follows
        ("critic.fsdp.ulysses_sequence_parallel_size=2", (1, 1, 2)),
        ("critic.ulysses_sequence_parallel_size=2", (1, 1, 1)),  # verl does not read it
    ],
)
def test_ulysses_is_read_as_verl_reads_it(
    resolved: Resolved, setting: str, ulysses: tuple[int, int, int]
) -> None:
    config = resolved("profile=gpu", "algorithm.use_kl_in_reward=true", setting)
    shape = RunShape.of(config)
    assert shape.reference is not None
    assert shape.critic is not None
    assert tuple(part.ulysses for part in (shape.actor, shape.reference, shape.critic)) == ulysses
    parts = (config.actor_rollout_ref.actor, config.actor_rollout_ref.ref, config.critic)
    engines = [omega_conf_to_dataclass(_as_a_worker_does(part)).engine for part in parts]
    assert tuple(engine.ulysses_sequence_parallel_size for engine in engines) == ulysses


def _as_a_worker_does(part: DictConfig) -> DictConfig:
    """verl renames the reference's settings to those of an actor before it reads them (engine_workers.py)."""
    if "log_prob_use_dynamic_bsz" not in part:
        return part
    renamed = {
        key.replace("log_prob_", "" if "dynamic" in key else "ppo_"): value for key, value in part.items()
    }
    return OmegaConf.create({**renamed, "ppo_mini_batch_size": 1})


# What the profiles are


@pytest.mark.parametrize("profile", ["original", "gpu"])
def test_the_settings_of_the_original(resolved: Resolved, profile: str) -> None:
    wanted = ORIGINAL if profile == "original" else ORIGINAL | TODAY
    config = resolved(f"profile={profile}")
    found = {setting: OmegaConf.select(config, setting, throw_on_missing=True) for setting in wanted}
    assert found == wanted
    assert {setting: type(value) for setting, value in found.items()} == {
        setting: type(value) for setting, value in wanted.items()
    }


def test_ppo_trains_a_critic_and_grpo_none(resolved: Resolved) -> None:
    assert {profile: need_critic(resolved(f"profile={profile}")) for profile in GPU_PROFILES} == {
        "original": True,
        "gpu": True,
        "gpu_grpo": False,
        "gpu_lora": False,
        "gpu_small": False,
    }


@pytest.mark.parametrize("profile", GPU_PROFILES)
@pytest.mark.parametrize(("there", "ranks"), [(0, 8), (1, 1), (3, 3), (8, 8)])
def test_the_ranks_are_as_many_as_the_visible_gpus(
    resolved: Resolved, profile: str, there: int, ranks: int
) -> None:
    config = resolved(f"profile={profile}", gpus=there)
    assert config.trainer.n_gpus_per_node == ranks
    assert RunShape.of(config).gpus == ranks


@pytest.mark.parametrize("profile", GPU_PROFILES)
def test_attention_is_what_is_installed(resolved: Resolved, profile: str) -> None:
    resolved(f"profile={profile}")
    OmegaConf.register_new_resolver("installed_attention", lambda: "of_this_machine", replace=True)
    config = resolved(f"profile={profile}")
    locate_verl_config()  # puts ours back
    for part in (config.actor_rollout_ref.model, config.critic.model):
        assert part.override_config.attn_implementation == "of_this_machine"


LIMITS = (
    f"{ACTOR}.ppo_max_token_len_per_gpu",
    "actor_rollout_ref.ref.log_prob_max_token_len_per_gpu",
    f"{ROLLOUT}.log_prob_max_token_len_per_gpu",
    "critic.ppo_max_token_len_per_gpu",
    "critic.ppo_infer_max_token_len_per_gpu",
)


@pytest.mark.parametrize("profile", GPU_PROFILES)
def test_the_environment_limits_the_tokens_of_all_batches(
    resolved: Resolved, monkeypatch: pytest.MonkeyPatch, profile: str
) -> None:
    def limits() -> list[Any]:
        config = resolved(f"profile={profile}")
        return [OmegaConf.select(config, setting) for setting in LIMITS]

    (limit, *others) = limits()
    assert isinstance(limit, int)
    assert others == [limit] * 4
    monkeypatch.setenv("PPO_MAX_TOKEN_LEN_PER_GPU", "20000")
    assert limits() == [20000] * 5


@pytest.mark.parametrize("profile", names())
def test_a_text_with_its_prompt_fits_vllm(resolved: Resolved, profile: str) -> None:
    config = resolved(f"profile={profile}")
    rollout = config.actor_rollout_ref.rollout
    needed = config.data.max_prompt_length + config.data.max_response_length
    assert rollout.prompt_length + rollout.response_length == needed
    assert rollout.max_model_len is None or rollout.max_model_len >= needed


def test_the_longest_text_follows_the_lengths(resolved: Resolved) -> None:
    config = resolved("profile=gpu_lora", "data.max_response_length=100")
    assert config.actor_rollout_ref.rollout.max_model_len == 4196


@pytest.mark.parametrize("profile", names())
def test_our_own_settings_are_accepted(resolved: Resolved, profile: str) -> None:
    assert Settings.from_config(resolved(f"profile={profile}").writing_rl).judge.models == ("judge-1",)


def test_no_key_is_in_the_configuration(resolved: Resolved, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "DASHSCOPE_API_KEY", "WANDB_API_KEY"):
        monkeypatch.setenv(name, "sk-secret")
    config = resolved("profile=gpu")
    assert "sk-secret" not in OmegaConf.to_yaml(config)
    assert list(config.trainer.logger) == ["console", "tensorboard", "file", "wandb"]
