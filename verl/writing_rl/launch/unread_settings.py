"""Settings of verl that nothing reads in our runs, because we replace what would read them.

verl 0.9.1 accepts them all and says nothing: whoever sets `reward.max_rpm` believes that requests are
limited. So a value other than verl's own is an error that names what does have the effect.
`tests/integration/test_unread_settings_verl.py` compares the tables with the sources of the installed verl.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from writing_rl.errors import SettingError

#: The reward function that `config/writing_rl.yaml` names.
OUR_FUNCTION = "pkg://verl.utils.reward_score.writing_rl"
LEAVE_OUT = "leave it out"


@dataclass(frozen=True)
class Unread:
    """A setting, or a group of settings, without effect.

    Attributes:
        why: Why nothing reads it.
        remedy: What to do in place of setting it; `*` stands for the setting's name within its group.
        default: verl's own value: of a group, the values of its settings by their names. None, also for a
            setting of a group that is not among them, is a setting that verl leaves unset.
    """

    why: str
    remedy: str = LEAVE_OUT
    default: Any = None


_MANAGER = "the reward manager is always Writing-RL's `parallel`"
_OWN_FUNCTION = "put a scoring of your own into reward.custom_reward_function.path"
_BUFFER = "the replay buffer is Writing-RL's own"
_LIMITED = "only verl's reward manager `rate_limited` reads it"
_ASYNCHRONOUS = "only verl's asynchronous trainers read it, and Writing-RL trains synchronously"
_LEGACY = "only verl's legacy trainer reads it"
_RENAMED = "verl 0.9.1 reads it under another name only"
_NO_CODE = "texts are judged, and no code of theirs is run"


_REWARD = {
    "reward.reward_kwargs": Unread(
        "only verl's reward manager `dapo` reads it",
        "limit texts by data.max_response_length; a reward function of your own gets "
        "reward.custom_reward_function.reward_kwargs",
    ),
    "reward.max_concurrent": Unread(_LIMITED, "use writing_rl.judge.parallel"),
    "reward.max_rpm": Unread(_LIMITED, "use writing_rl.judge.requests_per_minute"),
    "reward.max_tpm": Unread(_LIMITED, "use writing_rl.judge.tokens_per_minute"),
    "reward.estimated_tokens_per_request": Unread(_LIMITED, "use writing_rl.judge.tokens_per_minute alone"),
    "reward.timeout": Unread(_LIMITED, "use writing_rl.judge.deadline_s"),
    "reward.sandbox_fusion": Unread(
        _NO_CODE, default={"url": None, "max_concurrent": 64, "memory_limit_mb": 1024}
    ),
    # With another source verl would look for a class `parallel` in the module, past our reward manager.
    "reward.reward_manager.source": Unread(_MANAGER, _OWN_FUNCTION, default="register"),
    "reward.reward_manager.module": Unread(
        _MANAGER, _OWN_FUNCTION, default={"path": None, "name": "custom_reward_manager"}
    ),
    "data.reward_fn_key": Unread(
        "the reward manager reads the column data_source", "name the column so", default="data_source"
    ),
    "data.prompt_key": Unread(
        "the data set reads the column prompt alone", "name the column so", default="prompt"
    ),
}

_SAMPLING = {
    "trainer.v1.sampler.max_off_policy_threshold": Unread(
        "training is synchronous, so every text is by the current policy", default=8
    ),
    "trainer.v1.sampler.max_off_policy_strategy": Unread(
        "training is synchronous, so every text is by the current policy", default="drop"
    ),
    # verl would still load prompts one by one for these two, but our buffer is never told of them.
    "trainer.v1.sampler.sync_refill_failed_groups": Unread(
        f"{_BUFFER}: a failed rollout ends the run, and one without a verdict is left out of its batch",
        default=False,
    ),
    "algorithm.filter_groups": Unread(
        f"{_BUFFER}, which keeps groups of equal rewards",
        default={
            "enable": False,
            "metric": "reward",
            "max_num_gen_batches": 0,
            "max_inflight_gen_batches": 1,
        },
    ),
    "trainer.v1.sampler.sampler_kwargs": Unread(f"{_BUFFER}, which has no settings"),
}

_MODES = {
    "trainer.use_v1": Unread("the trainer is always built on verl's V1", default=True),
    "trainer.v1.colocate_async": Unread(_ASYNCHRONOUS, default={"num_warmup_batches": 1}),
    "trainer.v1.separate_async": Unread(
        _ASYNCHRONOUS,
        default={
            "num_warmup_batches": 1,
            "parameter_sync_step": 4,
            "hybrid_rollout": {
                "enable_switch": False,
                "switch_threshold_ratio": 0.4,
                "adaptive_switch_threshold": True,
                "switch_threshold_step_up": 0.05,
                "switch_threshold_step_down": 0.03,
                "switch_threshold_release_steps": 2,
                "switch_cost_window_size": 3,
            },
        },
    ),
    # Our trainer tells verl that its mode is `sync`.
    "trainer.v1.writing_rl": Unread("the trainer has no settings there", "look for it in writing_rl"),
    "async_training": Unread(_ASYNCHRONOUS),
    "skip.rollout": Unread(
        _LEGACY,
        default={"enable": False, "dump_dir": "~/.verl/rollout_dump", "steps": [], "action": "cache"},
    ),
    "skip.async_rollout": Unread(
        _ASYNCHRONOUS,
        default={"enable": False, "dump_dir": "~/.verl/rollout_dump", "steps": [], "action": "cache"},
    ),
    "actor_rollout_ref.hybrid_engine": Unread(
        "trainer and vLLM always share their GPUs", "leave it at true", default=True
    ),
    # Its neighbour n_gpus_per_node follows trainer.n_gpus_per_node, and means nothing without it.
    "actor_rollout_ref.rollout.nnodes": Unread(
        "trainer and vLLM always share their GPUs", "use trainer.nnodes", default=0
    ),
    # Workers make the engine that it names, and the trainer then sends weights without it.
    "actor_rollout_ref.rollout.checkpoint_engine.backend": Unread(
        "trainer and vLLM share their GPUs, and weights are handed over there",
        "leave it at naive",
        default="naive",
    ),
}

_LEGACY_TRAINER = {
    "trainer.balance_batch": Unread(f"{_LEGACY}; batches are always balanced", default=True),
    "trainer.esi_redundant_time": Unread(_LEGACY, "use trainer.save_freq", default=0),
    "trainer.ray_wait_register_center_timeout": Unread(_LEGACY, default=300),
    "actor_rollout_ref.actor.use_prefix_grouper": Unread(_LEGACY, default=False),
    "actor_rollout_ref.actor.calculate_sum_pi_squared": Unread(_LEGACY, default=False),
    "actor_rollout_ref.rollout.checkpoint_manager_class": Unread(_LEGACY),
    "actor_rollout_ref.rollout.multi_turn.enable": Unread(
        _LEGACY,
        "choose the agent loop by actor_rollout_ref.rollout.agent.default_agent_loop",
        default=False,
    ),
}

#: Names of older verl. verl's `migrate_legacy_reward_impl` knows them, and its V1 trainers never call it.
_OLD_NAMES = {
    **{
        f"reward_model.{old}": Unread(_RENAMED, f"use reward.{new}")
        for old, new in {
            "num_workers": "num_workers",
            "reward_manager": "reward_manager.name",
            "enable": "reward_model.enable",
            "enable_resource_pool": "reward_model.enable_resource_pool",
            "n_gpus_per_node": "reward_model.n_gpus_per_node",
            "nnodes": "reward_model.nnodes",
            "model.path": "reward_model.model_path",
            "rollout": "reward_model.rollout.*",
        }.items()
    },
    "reward_model.reward_loop_source": Unread(_MANAGER, _OWN_FUNCTION),
    "reward_model.reward_loop_module_path": Unread(_MANAGER, _OWN_FUNCTION),
    "reward_model.reward_loop_class_name": Unread(_MANAGER, _OWN_FUNCTION),
    "reward_model.reward_kwargs": _REWARD["reward.reward_kwargs"],
    "reward_model": Unread("verl 0.9.1 has no such setting any more"),  # what is left of the group
    "custom_reward_function": Unread(_RENAMED, "use reward.custom_reward_function.*"),
    "sandbox_fusion": Unread(_NO_CODE),
}

#: Settings that never have an effect. The first that a configuration sets is the one that is named, so what
#: says more of a group's setting comes before its group.
UNREAD: Mapping[str, Unread] = {**_REWARD, **_SAMPLING, **_MODES, **_LEGACY_TRAINER, **_OLD_NAMES}

#: Settings that have an effect only with a reward function of the user's own.
UNREAD_BY_OUR_FUNCTION: Mapping[str, Unread] = {
    f"reward.custom_reward_function.{name}": Unread(
        "the reward function is Writing-RL's own", "name yours in reward.custom_reward_function.path", default
    )
    for name, default in {"name": "compute_score", "reward_kwargs": None}.items()
}


def check_unread_settings(config: DictConfig) -> None:
    """Checks that nothing is set that has no effect.

    Args:
        config: The configuration; settings may be absent from it.

    Raises:
        SettingError: A setting has a value other than verl's own, and nothing reads it.
    """
    ours = OmegaConf.select(config, "reward.custom_reward_function.path") in (None, OUR_FUNCTION)
    for key, unread in {**UNREAD, **(UNREAD_BY_OUR_FUNCTION if ours else {})}.items():
        defaults = dict(settings_of(key, unread.default))
        for name, value in settings_of(key, OmegaConf.select(config, key)):
            if value != defaults.get(name):
                remedy = unread.remedy.replace("*", name.removeprefix(f"{key}."))
                raise SettingError(f"{name} has no effect here: {unread.why}; {remedy}")


def settings_of(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The settings of a group by their full names, or the one setting; those that are not set are left out.

    Args:
        key: Its name.
        value: Its value: of a group, a mapping.
    """
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value, resolve=True)
    if isinstance(value, dict):
        for name, inner in value.items():
            if name != "_target_":  # the class of verl that holds the group
                yield from settings_of(f"{key}.{name}", inner)
    elif value is not None and value != []:
        yield key, value
