"""Which profile is chosen for which GPUs, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from omegaconf import DictConfig

from writing_rl.errors import SettingError, SetupError
from writing_rl.launch import profiles
from writing_rl.launch.profiles import check_fits, choose, names
from writing_rl.launch.run_shape import RunShape
from writing_rl.models.model_shape import ModelShape
from writing_rl.util.gpus import Gpu

Composed = Callable[..., DictConfig]
Gpus = Callable[[int, int], list[Gpu]]
Models = Mapping[str, ModelShape]
ROLLOUT = "actor_rollout_ref.rollout"
ACTOR = "actor_rollout_ref.actor"


@pytest.fixture
def quick(composed: Composed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has profiles composed once; settings are put on top of them."""

    def compose(overrides: list[str]) -> DictConfig:
        profile, *settings = overrides
        return composed(profile.removeprefix("profile="), *settings)

    monkeypatch.setattr(profiles, "compose", compose)


def test_all_profiles_are_named() -> None:
    assert names() == ["cpu", "gpu", "gpu_grpo", "gpu_lora", "gpu_small", "original", "quickstart_cpu"]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("count", "gigabytes", "model", "profile"),
    [
        (8, 80, "Qwen2.5-7B", "gpu"),
        (4, 80, "Qwen2.5-7B", "gpu_grpo"),
        (2, 80, "Qwen2.5-7B", "gpu_lora"),
        (1, 80, "Qwen2.5-7B", "gpu_lora"),
        (1, 80, "Qwen3-8B", "gpu_lora"),
        (8, 80, "Qwen3-8B", "gpu"),
        (1, 24, "Qwen2.5-1.5B", "gpu_small"),
        (1, 80, "Qwen2.5-1.5B", "gpu_grpo"),
        (8, 24, "Qwen2.5-1.5B", "gpu_small"),
        (2, 141, "Qwen2.5-7B", "gpu_grpo"),
    ],
)
def test_the_best_profile_that_fits_is_chosen(
    gpus: Gpus, models: Models, count: int, gigabytes: int, model: str, profile: str
) -> None:
    choice = choose(gpus(count, gigabytes), models[model])
    assert choice.name == profile
    assert choice.reason.startswith(f"profile {profile}: {count} x GPU {gigabytes}GB with ")


@pytest.mark.usefixtures("quick")
def test_the_reason_says_why_not_a_better_one(gpus: Gpus, models: Models) -> None:
    assert choose(gpus(2, 80), models["Qwen2.5-7B"]).reason == (
        "profile gpu_lora: 2 x GPU 80GB with 80 GiB, 7.6 billion parameters, about 41 GiB a GPU "
        "(gpu is for 8 GPUs; gpu_grpo takes about 87 GiB of each GPU while the policy is updated)"
    )


@pytest.mark.usefixtures("quick")
def test_where_none_fits_each_is_said_why_with_the_remedy(gpus: Gpus, models: Models) -> None:
    with pytest.raises(SettingError) as error:
        choose(gpus(1, 24), models["Qwen2.5-7B"])
    assert str(error.value) == (
        "no profile fits 1 x GPU 24GB with 24 GiB, 7.6 billion parameters: gpu is for 8 GPUs; gpu_grpo takes "
        "about 144 GiB of each GPU while the policy is updated; gpu_lora takes about 56 GiB of each GPU "
        "while the policy is updated; gpu_small takes about 43 GiB of each GPU while the policy is updated: "
        "use a smaller BASE_MODEL or more GPUs, or name a PROFILE and lower data.max_response_length"
    )


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("count", "fitting", "profile"), [(3, 2, "gpu_lora"), (5, 4, "gpu_grpo"), (7, 4, "gpu_grpo")]
)
def test_a_number_of_gpus_that_does_not_divide_is_said_with_one_that_does(
    gpus: Gpus, models: Models, count: int, fitting: int, profile: str
) -> None:
    with pytest.raises(SettingError) as error:
        choose(gpus(count, 80), models["Qwen2.5-7B"])
    assert f"cannot share its texts evenly by {count} GPUs" in str(error.value)
    assert str(error.value).endswith(
        f": use {fitting} of the GPUs (CUDA_VISIBLE_DEVICES), which profile {profile} fits"
    )
    assert choose(gpus(fitting, 80), models["Qwen2.5-7B"]).name == profile


@pytest.mark.usefixtures("quick")
def test_the_smallest_of_unlike_gpus_decides(gpus: Gpus, models: Models) -> None:
    mixed = [*gpus(1, 80), *gpus(1, 24)]
    assert choose(mixed, models["Qwen2.5-1.5B"]).name == choose(gpus(2, 24), models["Qwen2.5-1.5B"]).name


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("settings", "profile"),
    [
        (["trainer.n_gpus_per_node=4"], "gpu_grpo"),
        (["data.max_response_length=1000", f"{ACTOR}.ppo_max_token_len_per_gpu=6000"], "gpu"),
        (["trainer.nnodes=2"], "gpu"),
        ([f"{ROLLOUT}.gpu_memory_utilization=0.2"], "gpu"),
        ([f"{ROLLOUT}.gpu_memory_utilization=0.1"], None),
    ],
)
def test_the_users_own_settings_count(
    gpus: Gpus, models: Models, settings: list[str], profile: str | None
) -> None:
    if profile is not None:
        assert choose(gpus(8, 80), models["Qwen2.5-7B"], settings).name == profile
        return
    with pytest.raises(
        SettingError, match="gives vLLM 8 GiB of each GPU for about 9 of weights and one text"
    ):
        choose(gpus(8, 80), models["Qwen2.5-7B"], settings)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("trainer.no_such_step=3", "trainer.no_such_step"),
        ("trainer.total_epochs=[", "no viable alternative at input '['"),
        ("--cfg", "--cfg"),
    ],
)
def test_a_setting_that_hydra_refuses_is_one_line(
    gpus: Gpus, models: Models, setting: str, said: str
) -> None:
    with pytest.raises(SettingError) as error:
        choose(gpus(8, 80), models["Qwen2.5-7B"], [setting])
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_hydra_composes_what_is_chosen_from(gpus: Gpus, models: Models) -> None:
    choice = choose(gpus(4, 80), models["Qwen2.5-7B"], ["data.max_response_length=9000"])
    assert choice.name == "gpu_grpo"


# A profile that was named


@pytest.fixture
def fits(quick: None, composed: Composed, gpus: Gpus, models: Models) -> Callable[..., str]:
    """Checks a profile with settings on top; returns its line."""

    def check(profile: str, count: int, gigabytes: int, *settings: str, model: str = "Qwen2.5-7B") -> str:
        config = composed(profile, f"trainer.n_gpus_per_node={count}", *settings)
        return check_fits(config, profile, RunShape.of(config), models[model], gpus(count, gigabytes))

    return check


@pytest.mark.parametrize(
    ("profile", "count", "gigabytes", "model"),
    [
        ("original", 8, 180, "Qwen2.5-7B"),
        ("gpu", 8, 80, "Qwen2.5-7B"),
        ("gpu", 8, 80, "Qwen3-8B"),
        ("gpu_grpo", 4, 80, "Qwen2.5-7B"),
        ("gpu_grpo", 8, 80, "Qwen3-8B"),
        ("gpu_lora", 1, 80, "Qwen3-8B"),
        ("gpu_small", 1, 24, "Qwen2.5-1.5B"),
    ],
)
def test_a_profile_fits_the_machine_that_its_header_names(
    fits: Callable[..., str], profile: str, count: int, gigabytes: int, model: str
) -> None:
    assert fits(profile, count, gigabytes, model=model).endswith("while the policy is updated (an estimate)")


def test_what_it_takes_is_said(fits: Callable[..., str]) -> None:
    assert fits("gpu", 8, 80) == (
        "GPU memory: about 44 of 80 GiB a GPU while the policy is updated (an estimate)"
    )


def test_three_billion_parameters_fit_a_small_card_with_shorter_texts(fits: Callable[..., str]) -> None:
    settings = ["data.max_response_length=2048", f"{ACTOR}.ppo_max_token_len_per_gpu=4096"]
    fits("gpu_small", 1, 24, *settings, model="Qwen2.5-3B")
    with pytest.raises(SettingError, match=r"lower data.max_response_length and PPO_MAX_TOKEN_LEN_PER_GPU"):
        fits("gpu_small", 1, 24, model="Qwen2.5-3B")


@pytest.mark.parametrize(
    ("profile", "count", "gigabytes", "settings", "why", "remedy"),
    [
        ("original", 8, 80, [], "takes about 98 GiB", "set PROFILE=gpu"),
        ("original", 8, 141, [], "takes about 141 GiB", "set PROFILE=gpu"),
        ("gpu", 2, 80, [], "takes about 87 GiB", "set PROFILE=gpu_lora"),
        ("gpu_grpo", 2, 80, [], "takes about 87 GiB", "set PROFILE=gpu_lora"),
        (
            "gpu_lora",
            1,
            24,
            [],
            "takes about 56 GiB",
            "lower data.max_response_length and PPO_MAX_TOKEN_LEN_PER_GPU, or use a smaller BASE_MODEL",
        ),
        (
            "gpu",
            8,
            80,
            [f"{ROLLOUT}.free_cache_engine=false", f"{ROLLOUT}.gpu_memory_utilization=0.7"],
            "takes about 98 GiB",
            "set actor_rollout_ref.rollout.free_cache_engine=true",
        ),
        (
            "gpu",
            8,
            80,
            [f"{ROLLOUT}.gpu_memory_utilization=0.95", f"{ACTOR}.fsdp_config.optimizer_offload=false"],
            "while texts are written",
            "lower actor_rollout_ref.rollout.gpu_memory_utilization, or offload",
        ),
        (
            "gpu",
            8,
            80,
            [f"{ROLLOUT}.gpu_memory_utilization=0.1"],
            "gives vLLM 8 GiB of each GPU for about 9",
            "raise actor_rollout_ref.rollout.tensor_model_parallel_size or gpu_memory_utilization",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(
    fits: Callable[..., str],
    profile: str,
    count: int,
    gigabytes: int,
    settings: list[str],
    why: str,
    remedy: str,
) -> None:
    with pytest.raises(SettingError) as error:
        fits(profile, count, gigabytes, *settings)
    assert str(error.value).startswith(f"profile {profile} ")
    assert why in str(error.value)
    assert remedy in str(error.value)


def test_the_original_fits_141_gb_where_vllm_takes_less(fits: Callable[..., str]) -> None:
    fits("original", 8, 141, f"{ROLLOUT}.gpu_memory_utilization=0.6")


def test_a_large_model_needs_more_gpus_for_each_server(fits: Callable[..., str]) -> None:
    settings = ["trainer.nnodes=4", f"{ACTOR}.ppo_max_token_len_per_gpu=14096"]
    with pytest.raises(SettingError, match=r"for about .* of weights and one text"):
        fits("gpu_grpo", 8, 80, *settings, model="Qwen2.5-32B")
    fits("gpu_grpo", 8, 80, *settings, f"{ROLLOUT}.tensor_model_parallel_size=4", model="Qwen2.5-32B")


def test_memory_that_another_process_holds_is_missed(composed: Composed, gpus: Gpus, models: Models) -> None:
    config = composed("gpu")
    there = gpus(8, 80)
    there[5] = replace(there[5], free_mib=40_000)
    with pytest.raises(
        SetupError, match="GPU 5 has 39 of 80 GiB free, and an update takes about 44: end what"
    ):
        check_fits(config, "gpu", RunShape.of(config), models["Qwen2.5-7B"], there)
