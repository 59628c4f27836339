"""What a run takes, by arithmetic: the headers of the profiles, and which settings change it how."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pytest
from omegaconf import DictConfig, OmegaConf

from writing_rl.launch.estimate import FORKED_PROCESS, PROCESS, Estimate, estimate
from writing_rl.launch.profiles import FOLDER
from writing_rl.launch.run_shape import RunShape
from writing_rl.models.model_shape import ModelShape

ACTOR = "actor_rollout_ref.actor"
ROLLOUT = "actor_rollout_ref.rollout"
MODEL = "actor_rollout_ref.model"
#: Bytes of a card of 80 GB.
CARD = 81559 << 20
Takes = Callable[..., Estimate]


@pytest.fixture(scope="session")
def takes(composed: Callable[..., DictConfig], models: Mapping[str, ModelShape]) -> Takes:
    """Estimates a profile, with settings on top and on a card of 80 GB."""

    def estimated(profile: str, *settings: str, model: str = "Qwen2.5-7B") -> Estimate:
        return estimate(RunShape.of(composed(profile, *settings)), models[model], CARD)

    return estimated


#: Where a header has its figures.
FIGURES = {
    "update": r"CUDA[^:]*: ([\d.]+) GB",
    "update on 8": r"On 8 GPUs ([\d.]+) GB",
    "host": r"Host:.*?about ([\d.]+) GB",
    "checkpoint": r"Checkpoint:[^=]*= ([\d.]+) GB",
}


@pytest.mark.parametrize(
    ("profile", "gpus", "model", "figures"),
    [
        ("original", 8, "Qwen2.5-7B", ["update"]),
        ("gpu", 8, "Qwen2.5-7B", ["update", "host", "checkpoint"]),
        ("gpu_grpo", 4, "Qwen2.5-7B", ["update", "host", "checkpoint"]),
        ("gpu_grpo", 8, "Qwen2.5-7B", ["update on 8"]),
        ("gpu_lora", 1, "Qwen3-8B", ["update", "host", "checkpoint"]),
        ("gpu_small", 1, "Qwen2.5-1.5B", ["update", "host", "checkpoint"]),
    ],
)
def test_the_figures_in_the_header_of_a_profile_agree_with_the_estimate(
    takes: Takes, profile: str, gpus: int, model: str, figures: list[str]
) -> None:
    header = (FOLDER / f"{profile}.yaml").read_text().replace("\n#", "")
    # The original's vLLM stays, and its header counts it apart.
    counted = takes(
        profile, f"trainer.n_gpus_per_node={gpus}", f"{ROLLOUT}.free_cache_engine=true", model=model
    )
    for figure in figures:
        said = re.search(FIGURES[figure], header)
        assert said is not None, figure
        assert getattr(counted, figure.split()[0]) / 1e9 == pytest.approx(float(said[1]), rel=0.15)


# What makes more of it, and what less


MORE = [
    ("update", "gpu", [f"{ROLLOUT}.free_cache_engine=false"], 0.6 * CARD - 2e9),
    ("update", "gpu", ["critic.fsdp.optimizer_offload=false"], 4 * 2 * 7.071e9 / 8),
    ("update", "gpu", ["critic.fsdp.param_offload=false"], 4 * 7.071e9 / 8),
    ("update", "gpu", ["trainer.n_gpus_per_node=4"], 4 * 4 * 7.616e9 / 8),
    ("update", "gpu", [f"{MODEL}.enable_gradient_checkpointing=false"], 15 * 2 * 28 * 16500 * 3584),
    ("update", "gpu", [f"{ACTOR}.fsdp_config.model_dtype=bf16"], -2 * 4 * 7.616e9 / 8),
    (
        "update",
        "gpu",
        [f"{ACTOR}.strategy=fsdp2", f"{ACTOR}.fsdp_config.offload_policy=true"],
        -4 * 4 * 7.616e9 / 8,
    ),
    ("update", "gpu", [f"{MODEL}.override_config.attn_implementation=flash_attention_2"], -(16500**2)),
    ("rollout", "gpu", [f"{ROLLOUT}.gpu_memory_utilization=0.7"], 0.1 * CARD),
    ("rollout", "gpu", [f"{ACTOR}.fsdp_config.param_offload=false"], 4 * 7.616e9 / 8),
    ("rollout", "gpu", [f"{ACTOR}.fsdp_config.optimizer_offload=false"], 4 * 2 * 7.616e9 / 8),
    ("rollout", "gpu", [f"{ROLLOUT}.free_cache_engine=false"], 0),
    ("rollout_floor", "gpu", [f"{ROLLOUT}.tensor_model_parallel_size=1"], 7.616e9 + 14096 * 28 * 4 * 128 * 2),
    ("rollout_floor", "gpu", [f"{ROLLOUT}.max_model_len=null"], (32768 - 14096) * 28 * 4 * 128 * 2),
    ("rollout_floor", "gpu", [f"{ROLLOUT}.data_parallel_size=4"], 0),
    ("host", "gpu", ["algorithm.use_kl_in_reward=true"], 4 * 7.616e9),
    ("host", "gpu_grpo", ["actor_rollout_ref.ref.fsdp_config.model_dtype=fp32"], 2 * 7.616e9),
    ("host", "gpu_grpo", [f"{ACTOR}.use_kl_loss=false"], -2 * 7.616e9),
    ("host", "gpu", ["critic.fsdp.optimizer_offload=false"], -4 * 2 * 7.071e9),
    ("host", "gpu", [f"{ACTOR}.fsdp_config.param_offload=false"], -4 * 7.616e9),
    ("host", "gpu", [f"{ACTOR}.fsdp_config.offload_policy=true"], 4 * 7.616e9),
    ("host", "gpu_lora", [f"{ROLLOUT}.free_cache_engine=false"], -2 * 7.616e9 * 8),
    ("checkpoint", "gpu", ["algorithm.adv_estimator=grpo"], -12 * 7.071e9),
    ("checkpoint", "gpu", [f"{ACTOR}.checkpoint.save_contents=[model]"], -8 * 7.616e9),
    (
        "checkpoint",
        "gpu",
        [f"{ACTOR}.checkpoint.save_contents=[model,optimizer,extra,hf_model]"],
        4 * 7.616e9,
    ),
    ("checkpoint", "gpu", [f"{ACTOR}.fsdp_config.model_dtype=bf16"], -6 * 7.616e9),
]


@pytest.mark.parametrize(("what", "profile", "settings", "more"), MORE)
def test_a_setting_costs_what_it_is_for(
    takes: Takes, what: str, profile: str, settings: list[str], more: float
) -> None:
    changed = getattr(takes(profile, *settings), what) - getattr(takes(profile), what)
    assert changed == pytest.approx(more, rel=0.01, abs=1e7)


def test_a_fused_kernel_spares_the_logits(takes: Takes) -> None:
    settings = ["trainer.n_gpus_per_node=1", "algorithm.adv_estimator=grpo", f"{ACTOR}.strategy=fsdp"]
    spared = (
        takes("gpu", *settings).update - takes("gpu", *settings, f"{MODEL}.use_fused_kernels=true").update
    )
    assert spared == pytest.approx(16500 * 152064 * 8, rel=0.01)


def test_each_rank_of_ulysses_holds_as_much_as_one_without(takes: Takes) -> None:
    settings = [
        f"{MODEL}.override_config.attn_implementation=flash_attention_2",
        "algorithm.adv_estimator=grpo",
    ]
    two = f"{ACTOR}.fsdp_config.ulysses_sequence_parallel_size=2"
    assert takes("gpu", *settings, two).update == takes("gpu", *settings).update


def test_without_dynamic_batches_texts_are_counted_at_their_full_length(takes: Takes) -> None:
    plain = ["algorithm.adv_estimator=grpo", f"{ACTOR}.use_dynamic_bsz=false"]
    one, two = (
        takes(
            "gpu",
            *plain,
            f"{ACTOR}.ppo_micro_batch_size_per_gpu={size}",
            f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu=1",
            f"{MODEL}.override_config.attn_implementation=flash_attention_2",
        ).update
        for size in (1, 2)
    )
    assert two - one == 14096 * (152064 * 8 + (28 * 2 + 80) * 3584)


def test_of_adapters_the_base_is_saved_but_not_its_states(
    takes: Takes, models: Mapping[str, ModelShape]
) -> None:
    adapters, weights = models["Qwen2.5-7B"].lora_parameters(32), models["Qwen2.5-7B"].parameters
    assert takes("gpu_lora").checkpoint == 4 * (weights + 3 * adapters)


def test_a_checkpoint_of_adapters_alone_is_small(
    composed: Callable[..., DictConfig], models: Mapping[str, ModelShape]
) -> None:
    config = composed("gpu_lora")
    # Not in verl's configuration: a user adds it.
    OmegaConf.update(config, f"{ACTOR}.checkpoint.save_lora_only", True, force_add=True)
    model = models["Qwen2.5-7B"]
    assert RunShape.of(config).checkpoint_bytes(model) == 12 * model.lora_parameters(32)


def test_a_critic_of_its_own_beside_adapters_is_trained_whole(
    takes: Takes, models: Mapping[str, ModelShape]
) -> None:
    adapters, weights = models["Qwen2.5-7B"].lora_parameters(32), models["Qwen2.5-7B"].parameters
    critic = weights - 152064 * 3584 + 3584
    both = takes("gpu_lora", "algorithm.adv_estimator=gae").checkpoint
    assert both == 4 * (weights + 3 * adapters) + 12 * critic


def test_the_critic_of_a_tied_model_has_all_its_weights_and_one_value_a_token(
    composed: Callable[..., DictConfig], models: Mapping[str, ModelShape]
) -> None:
    critic = RunShape.of(composed("gpu")).critic
    assert critic is not None
    model = models["Qwen2.5-1.5B"]
    assert critic.weights(model) == model.parameters + 1536


def test_every_rank_reads_a_tied_model_whole(takes: Takes) -> None:
    offload = [f"{ACTOR}.fsdp_config.{key}=false" for key in ("param_offload", "optimizer_offload")]
    settings = ["algorithm.adv_estimator=grpo", *offload]
    processes = (10 + 2 * 8) * PROCESS
    assert takes("gpu", *settings).host == pytest.approx(4 * 7.616e9 + processes)
    assert takes("gpu", *settings, model="Qwen2.5-3B").host == pytest.approx(8 * 4 * 3.086e9 + processes)


def test_two_nodes_share_what_lies_in_main_memory(takes: Takes) -> None:
    one, two = takes("gpu", "trainer.n_gpus_per_node=8"), takes("gpu", "trainer.nnodes=2")
    processes = (10 + 2 * 8) * PROCESS
    assert two.host - processes == pytest.approx((one.host - processes) / 2)


def test_on_a_cpu_everything_is_in_main_memory(takes: Takes) -> None:
    processes = (10 + 2) * FORKED_PROCESS
    host = takes("cpu", "trainer.n_gpus_per_node=1", model="Qwen2.5-1.5B").host
    assert host == pytest.approx(4 * 4 * 1.544e9 + processes)
