from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import validate_config

from writing_rl import preflight
from writing_rl.compose import VARIABLE, compose
from writing_rl.main import resolve
from writing_rl.settings import Settings

#: What the original Writing-RL trains with, by verl 0.9.1's names.
ORIGINAL = {
    "algorithm.adv_estimator": "gae",
    "algorithm.use_kl_in_reward": True,
    "algorithm.kl_ctrl.kl_coef": 0.001,
    "data.train_batch_size": 32,
    "data.max_prompt_length": 4096,
    "data.max_response_length": 10000,
    "actor_rollout_ref.actor.strategy": "fsdp",
    "actor_rollout_ref.actor.optim.lr": 1e-6,
    "actor_rollout_ref.actor.optim.lr_warmup_steps_ratio": 0.4,
    "actor_rollout_ref.actor.use_kl_loss": False,
    "actor_rollout_ref.actor.use_dynamic_bsz": True,
    "actor_rollout_ref.actor.fsdp_config.param_offload": True,
    "actor_rollout_ref.actor.fsdp_config.optimizer_offload": True,
    "actor_rollout_ref.model.use_remove_padding": True,
    "actor_rollout_ref.rollout.name": "vllm",
    "actor_rollout_ref.rollout.n": 1,
    "actor_rollout_ref.rollout.temperature": 1.0,
    "actor_rollout_ref.rollout.tensor_model_parallel_size": 2,
    "actor_rollout_ref.rollout.log_prob_use_dynamic_bsz": True,
    "critic.strategy": "fsdp",
    "critic.optim.lr": 1e-5,
    "critic.optim.lr_warmup_steps_ratio": 0.05,
    "critic.use_dynamic_bsz": True,
    "critic.model.use_remove_padding": True,
    "critic.fsdp.param_offload": True,
    "critic.fsdp.optimizer_offload": True,
    "trainer.device": "cuda",
    "trainer.n_gpus_per_node": 8,
    "trainer.save_freq": 50,
    "trainer.test_freq": 50,
}


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> DictConfig:
    """The composed GPU profile, as a run resolves it."""
    monkeypatch.setenv(VARIABLE, "")  # composing sets it; this puts it back
    monkeypatch.setenv("BASE_MODEL", "Qwen/Qwen2.5-7B-Instruct")
    monkeypatch.setenv("JUDGE_MODEL", "judge-1")
    config = compose(["profile=gpu"])
    resolve(config)
    return config


@pytest.mark.parametrize("setting", ORIGINAL)
def test_a_default_of_the_original(config: DictConfig, setting: str) -> None:
    value = OmegaConf.select(config, setting, throw_on_missing=True)
    assert value == ORIGINAL[setting]
    assert isinstance(value, type(ORIGINAL[setting]))


def test_it_trains_a_critic_and_keeps_a_reference_policy(config: DictConfig) -> None:
    assert need_critic(config)
    assert need_reference_policy(config)


def test_verl_accepts_it(config: DictConfig, model: Path) -> None:
    for part in (config.actor_rollout_ref, config.critic):
        part.model.path = str(model)
    validate_config(
        config=config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config)
    )


def test_the_preflight_accepts_its_settings(config: DictConfig) -> None:
    preflight.check_renamed_settings(config)
    preflight.check_parts(config)
    assert Settings.from_config(config.writing_rl).judge.models == ("judge-1",)


TOKEN_LIMITS = (
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu",
    "actor_rollout_ref.ref.log_prob_max_token_len_per_gpu",
    "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu",
    "critic.ppo_max_token_len_per_gpu",
)


@pytest.mark.parametrize("setting", TOKEN_LIMITS)
def test_the_tokens_of_a_batch_are_limited_by_a_number(config: DictConfig, setting: str) -> None:
    limit = OmegaConf.select(config, setting)
    assert isinstance(limit, int)
    # verl refuses a batch with a sequence that is longer than the limit.
    assert limit >= config.data.max_prompt_length + config.data.max_response_length


@pytest.mark.parametrize("setting", TOKEN_LIMITS)
def test_the_environment_sets_the_limit(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setenv("BASE_MODEL", "Qwen/Qwen2.5-7B-Instruct")
    monkeypatch.setenv("PPO_MAX_TOKEN_LEN_PER_GPU", "20000")
    config = compose(["profile=gpu"])
    resolve(config)
    assert OmegaConf.select(config, setting) == 20000


def test_prompt_and_response_fit_vllms_context(config: DictConfig) -> None:
    rollout = config.actor_rollout_ref.rollout
    needed = config.data.max_prompt_length + config.data.max_response_length
    assert rollout.prompt_length + rollout.response_length == needed
    assert rollout.max_model_len is None or rollout.max_model_len >= needed


def test_no_key_is_in_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setenv("BASE_MODEL", "Qwen/Qwen2.5-7B-Instruct")
    for name in ("OPENAI_API_KEY", "DASHSCOPE_API_KEY", "WANDB_API_KEY"):
        monkeypatch.setenv(name, "sk-secret")
    config = compose(["profile=gpu"])
    resolve(config)
    assert "sk-secret" not in OmegaConf.to_yaml(config)
    assert list(config.trainer.logger) == ["console", "tensorboard", "file", "wandb"]
