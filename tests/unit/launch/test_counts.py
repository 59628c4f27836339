"""Which numbers of a configuration fit together: each rule with a neighbour that passes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from writing_rl.errors import SettingError
from writing_rl.launch.counts import check_counts, check_steps, fitting_gpus, total_steps
from writing_rl.launch.run_shape import RunShape
from writing_rl.models.model_shape import ModelShape

ACTOR = "actor_rollout_ref.actor"
ROLLOUT = "actor_rollout_ref.rollout"
MODEL = "actor_rollout_ref.model"
FLASH = f"{MODEL}.override_config.attn_implementation=flash_attention_2"
#: For PPO on one GPU with nothing in the way: one update a step, of 32 texts.
PLAIN = (
    "trainer.n_gpus_per_node=1",
    f"{ROLLOUT}.tensor_model_parallel_size=1",
    f"{ACTOR}.ppo_mini_batch_size=32",
    "data.train_batch_size=32",
)
Composed = Callable[..., DictConfig]
Models = Mapping[str, ModelShape]


def told(config: DictConfig, shape: RunShape, model: ModelShape) -> str:
    """What is said of a run; nothing where it is accepted."""
    try:
        check_counts(config, shape, model)
    except SettingError as error:
        return str(error)
    return ""


def problem(config: DictConfig, model: ModelShape) -> str:
    """The same of a configuration."""
    return told(config, RunShape.of(config), model)


@pytest.fixture(scope="session")
def seven(models: Models) -> ModelShape:
    """Qwen2.5-7B: 28 heads, 4 of keys and values, 32,768 positions, not tied."""
    return models["Qwen2.5-7B"]


@pytest.mark.parametrize(
    ("profile", "gpus", "model"),
    [
        ("original", 8, "Qwen2.5-7B"),
        ("gpu", 8, "Qwen2.5-7B"),
        ("gpu", 8, "Qwen3-8B"),
        ("gpu_grpo", 8, "Qwen3-8B"),
        ("gpu_grpo", 4, "Qwen2.5-7B"),
        ("gpu_lora", 1, "Qwen3-8B"),
        ("gpu_lora", 2, "Qwen2.5-7B"),
        ("gpu_small", 1, "Qwen2.5-1.5B"),
        ("cpu", 1, "Qwen2.5-1.5B"),
        ("quickstart_cpu", 1, "Qwen2.5-1.5B"),
    ],
)
def test_profiles_are_accepted(
    composed: Composed, models: Models, profile: str, gpus: int, model: str
) -> None:
    assert problem(composed(profile, f"trainer.n_gpus_per_node={gpus}"), models[model]) == ""


# Each rule: what passes, what does not, and what is said of it

RULES = {
    "texts among GPUs": (
        ["trainer.n_gpus_per_node=4"],
        ["trainer.n_gpus_per_node=6"],
        "x rollout.n is 32 x 1 = 32 texts, which 6 ranks cannot share evenly: set "
        "actor_rollout_ref.actor.ppo_mini_batch_size=30 and data.train_batch_size=30, or use 4 GPUs",
    ),
    "texts of a prompt count": (
        ["trainer.n_gpus_per_node=6", f"{ROLLOUT}.n=3"],
        ["trainer.n_gpus_per_node=5", f"{ROLLOUT}.n=3"],
        "32 x 3 = 96 texts, which 5 ranks cannot share",
    ),
    "the critic's texts": (
        ["trainer.n_gpus_per_node=8", "critic.ppo_mini_batch_size=16"],
        ["trainer.n_gpus_per_node=8", "critic.ppo_mini_batch_size=4"],
        "critic.ppo_mini_batch_size x rollout.n is 4 x 1 = 4 texts, which 8 ranks",
    ),
    "no texts at all": ([], [f"{ACTOR}.ppo_mini_batch_size=0"], "is 0 x 1 = 0 texts"),
    "ranks of Ulysses share texts": (
        [
            "trainer.n_gpus_per_node=64",
            FLASH,
            *(f"{part}.ulysses_sequence_parallel_size=2" for part in (f"{ACTOR}.fsdp_config", "critic.fsdp")),
            "critic.model.override_config.attn_implementation=flash_attention_2",
        ],
        ["trainer.n_gpus_per_node=64"],
        "which 64 ranks cannot share evenly: set actor_rollout_ref.actor.ppo_mini_batch_size=64 and "
        "data.train_batch_size=64, or use 32 GPUs",
    ),
    "the reference's ranks": (
        [
            "gpu_grpo",
            "trainer.n_gpus_per_node=16",
            FLASH,
            f"{ACTOR}.ulysses_sequence_parallel_size=2",
            f"{ROLLOUT}.n=1",
            f"{ACTOR}.ppo_mini_batch_size=8",
        ],
        [
            "gpu_grpo",
            "trainer.n_gpus_per_node=16",
            FLASH,
            f"{ACTOR}.fsdp_config.ulysses_sequence_parallel_size=2",
            f"{ROLLOUT}.n=1",
            f"{ACTOR}.ppo_mini_batch_size=8",
        ],
        "the 16 ranks of actor_rollout_ref.ref cannot share the texts of an update evenly: set its "
        "fsdp_config.ulysses_sequence_parallel_size to that of the actor (2)",
    ),
    "two sizes of mini-batches": (
        ["critic.ppo_mini_batch_size=16"],
        ["critic.ppo_mini_batch_size=24"],
        "are 32 and 24 prompts, and data.train_batch_size 32: set data.train_batch_size=96, or "
        "critic.ppo_mini_batch_size=32",
    ),
    "GPUs among servers": (
        ["trainer.n_gpus_per_node=4", f"{ROLLOUT}.tensor_model_parallel_size=4"],
        ["trainer.n_gpus_per_node=6", f"{ROLLOUT}.tensor_model_parallel_size=4"],
        "give 6 GPUs, which vLLM's servers of 4 GPUs (actor_rollout_ref.rollout."
        "tensor_model_parallel_size is 4) do not share evenly: set "
        "actor_rollout_ref.rollout.tensor_model_parallel_size to one of 1, 2, or "
        "use 4 GPUs (CUDA_VISIBLE_DEVICES, or trainer.n_gpus_per_node)",
    ),
    "data-parallel servers": (
        ["trainer.n_gpus_per_node=4", f"{ROLLOUT}.data_parallel_size=4"],
        ["trainer.n_gpus_per_node=2", f"{ROLLOUT}.data_parallel_size=4"],
        "vLLM's servers of 4 GPUs",
    ),
    "servers on two nodes": (
        ["trainer.n_gpus_per_node=4", "trainer.nnodes=2", f"{ROLLOUT}.tensor_model_parallel_size=4"],
        ["trainer.n_gpus_per_node=6", "trainer.nnodes=2", f"{ROLLOUT}.tensor_model_parallel_size=4"],
        "give 12 GPUs, which vLLM's servers of 4 GPUs",
    ),
    "heads among servers": (
        ["trainer.n_gpus_per_node=4", f"{ROLLOUT}.tensor_model_parallel_size=4"],
        ["trainer.n_gpus_per_node=8", f"{ROLLOUT}.tensor_model_parallel_size=8"],
        "tensor_model_parallel_size is 8, which does not fit a model of 28 attention heads and 4 of keys and "
        "values: use one of 1, 2, 4, 28",
    ),
    "Ulysses needs flash-attn": (
        ["trainer.n_gpus_per_node=2", FLASH, f"{ACTOR}.fsdp_config.ulysses_sequence_parallel_size=2"],
        ["trainer.n_gpus_per_node=2", f"{ACTOR}.fsdp_config.ulysses_sequence_parallel_size=2"],
        "actor_rollout_ref.actor's ulysses_sequence_parallel_size is 2, which computes wrong probabilities "
        "with attention of sdpa: set it to 1, or install flash-attn",
    ),
    "Ulysses by its older name": (
        [],
        ["trainer.n_gpus_per_node=2", f"{ACTOR}.ulysses_sequence_parallel_size=2"],
        "which computes wrong probabilities",
    ),
    "Ulysses of the critic": (
        ["trainer.n_gpus_per_node=2", "critic.ulysses_sequence_parallel_size=2"],  # verl does not read it
        ["trainer.n_gpus_per_node=2", "critic.fsdp.ulysses_sequence_parallel_size=2"],
        "critic's ulysses_sequence_parallel_size is 2, which computes wrong probabilities",
    ),
    "GPUs among Ulysses' groups": (
        ["trainer.n_gpus_per_node=8", FLASH, f"{ACTOR}.fsdp_config.ulysses_sequence_parallel_size=4"],
        ["trainer.n_gpus_per_node=2", FLASH, f"{ACTOR}.fsdp_config.ulysses_sequence_parallel_size=4"],
        "is 4: it must divide the 2 GPUs",
    ),
    "heads among Ulysses' groups": (
        ["trainer.n_gpus_per_node=4", FLASH, f"{ACTOR}.fsdp_config.ulysses_sequence_parallel_size=4"],
        ["trainer.n_gpus_per_node=8", FLASH, f"{ACTOR}.fsdp_config.ulysses_sequence_parallel_size=8"],
        "is 8, which does not fit a model of 28 attention heads",
    ),
    "a batch holds a text": (
        [f"{ACTOR}.ppo_max_token_len_per_gpu=14096"],
        [f"{ACTOR}.ppo_max_token_len_per_gpu=14095"],
        "actor_rollout_ref.actor.ppo_max_token_len_per_gpu is 14095, less than one text of "
        "data.max_prompt_length + data.max_response_length = 14096 tokens: raise it to at least 14096",
    ),
    "Ulysses' ranks hold a text together": (
        [
            "trainer.n_gpus_per_node=2",
            FLASH,
            f"{ACTOR}.fsdp_config.ulysses_sequence_parallel_size=2",
            f"{ACTOR}.ppo_max_token_len_per_gpu=7048",
            "critic.ppo_max_token_len_per_gpu=16500",
            "critic.ppo_infer_max_token_len_per_gpu=16500",
        ],
        [
            "trainer.n_gpus_per_node=2",
            FLASH,
            f"{ACTOR}.fsdp_config.ulysses_sequence_parallel_size=2",
            f"{ACTOR}.ppo_max_token_len_per_gpu=7047",
            "critic.ppo_max_token_len_per_gpu=16500",
            "critic.ppo_infer_max_token_len_per_gpu=16500",
        ],
        "raise it to at least 7048",
    ),
    "a limit that is not read does not matter": (
        [
            f"{ACTOR}.ppo_max_token_len_per_gpu=9",
            f"{ACTOR}.use_dynamic_bsz=false",
            f"{ACTOR}.ppo_micro_batch_size_per_gpu=1",
            f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu=1",
            "critic.ppo_micro_batch_size_per_gpu=1",
        ],
        [f"{ACTOR}.ppo_max_token_len_per_gpu=9"],
        "ppo_max_token_len_per_gpu is 9",
    ),
    "the old probabilities' limit": (
        [f"{ROLLOUT}.log_prob_max_token_len_per_gpu=20000"],
        [f"{ROLLOUT}.log_prob_max_token_len_per_gpu=14000"],
        "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu is 14000",
    ),
    "the reference's limit": (
        ["actor_rollout_ref.ref.log_prob_max_token_len_per_gpu=9"],  # there is none
        ["actor_rollout_ref.ref.log_prob_max_token_len_per_gpu=9", "algorithm.use_kl_in_reward=true"],
        "actor_rollout_ref.ref.log_prob_max_token_len_per_gpu is 9",
    ),
    "the critic's limit": (
        [
            *(
                f"critic.{key}=15000"
                for key in ("ppo_max_token_len_per_gpu", "ppo_infer_max_token_len_per_gpu")
            )
        ],
        [
            *(
                f"critic.{key}=14000"
                for key in ("ppo_max_token_len_per_gpu", "ppo_infer_max_token_len_per_gpu")
            )
        ],
        "critic.ppo_infer_max_token_len_per_gpu is 14000",
    ),
    "vLLM's longest text": (
        [f"{ROLLOUT}.max_model_len=14096"],
        [f"{ROLLOUT}.max_model_len=14095"],
        "max_model_len is 14095, less than data.max_prompt_length + data.max_response_length: raise it to "
        "14096",
    ),
    "the model's positions": (
        [f"{ROLLOUT}.max_model_len=32768"],
        [f"{ROLLOUT}.max_model_len=32769"],
        "the model was made for 32768 tokens, and a text may have 32769",
    ),
    "the model's positions without a limit": (
        [f"{ROLLOUT}.max_model_len=null"],
        [
            f"{ROLLOUT}.max_model_len=null",
            "data.max_response_length=28673",
            f"{ACTOR}.ppo_max_token_len_per_gpu=40000",
        ],
        "a text may have 32769",
    ),
    "the bucket": (
        [f"{ROLLOUT}.checkpoint_engine.update_weights_bucket_megabytes=2079"],
        [f"{ROLLOUT}.checkpoint_engine.update_weights_bucket_megabytes=2078"],
        "is 2078, less than the model's largest weight (2079 MiB): set it to 4096",
    ),
    "the bucket for half as wide weights": (
        [
            f"{ROLLOUT}.checkpoint_engine.update_weights_bucket_megabytes=1040",
            f"{ACTOR}.fsdp_config.model_dtype=bf16",
        ],
        [
            f"{ROLLOUT}.checkpoint_engine.update_weights_bucket_megabytes=1039",
            f"{ACTOR}.fsdp_config.model_dtype=bfloat16",
        ],
        "largest weight (1040 MiB): set it to 2048",
    ),
    "the bucket of adapters": (
        ["gpu_lora", f"{ROLLOUT}.checkpoint_engine.update_weights_bucket_megabytes=64"],
        [
            "gpu_lora",
            f"{ROLLOUT}.checkpoint_engine.update_weights_bucket_megabytes=64",
            f"{ROLLOUT}.load_format=dummy",
        ],
        "update_weights_bucket_megabytes is 64",
    ),
    "merged adapters": (
        [],
        [
            "gpu_lora",
            f"{ROLLOUT}.checkpoint_engine.update_weights_bucket_megabytes=64",
            f"{MODEL}.lora.merge=true",
        ],
        "update_weights_bucket_megabytes is 64",
    ),
    "Megatron's rank": (
        ["gpu_lora", f"{MODEL}.lora.rank=8"],
        [f"{MODEL}.lora.rank=8"],
        "actor_rollout_ref.model.lora.rank is for Megatron",
    ),
    "adapters layer by layer": (
        ["gpu_lora", f"{ROLLOUT}.layered_summon=true"],
        ["gpu_lora", f"{ROLLOUT}.layered_summon=true", f"{ROLLOUT}.load_format=dummy"],
        "layered_summon needs actor_rollout_ref.rollout.load_format=safetensors",
    ),
    "fused kernels": (
        [f"{MODEL}.use_fused_kernels=true", f"{ACTOR}.strategy=fsdp"],
        [f"{MODEL}.use_fused_kernels=true"],
        "use_fused_kernels does not work with fsdp2 and a model whose output layer is not tied",
    ),
    "clip_ratio": (
        [f"{ACTOR}.clip_ratio=0.3", f"{ACTOR}.clip_ratio_low=0.3"],
        [f"{ACTOR}.clip_ratio=0.3", f"{ACTOR}.clip_ratio_high=0.28"],
        "clip_ratio=0.3 has no effect beside clip_ratio_low and clip_ratio_high",
    ),
    "bypass_mode": (
        ["algorithm.rollout_correction.bypass_mode=true"],
        ["algorithm.rollout_correction.bypass_mode=true", "algorithm.rollout_correction.rollout_is=token"],
        "bypass_mode=true leaves rollout_is and rollout_rs without effect",
    ),
    "the critic's limit that verl does not read": (
        ["gpu_grpo", "critic.ppo_max_token_len_per_gpu=20000"],  # without a critic
        ["critic.ppo_max_token_len_per_gpu=20000"],
        "critic.ppo_max_token_len_per_gpu is 20000, but verl 0.9.1 reads "
        "critic.ppo_infer_max_token_len_per_gpu (16500) in its place",
    ),
}


@pytest.fixture(scope="session")
def plain(composed: Composed) -> Callable[[list[str]], DictConfig]:
    """Composes settings on top of `PLAIN`; the first may be another profile."""

    def make(settings: list[str]) -> DictConfig:
        profile, *rest = settings if settings and "=" not in settings[0] else ["gpu", *settings]
        return composed(profile, *PLAIN, *rest)

    return make


@pytest.mark.parametrize("rule", RULES)
def test_what_keeps_a_rule_passes(
    plain: Callable[[list[str]], DictConfig], seven: ModelShape, rule: str
) -> None:
    passes, _, _ = RULES[rule]
    assert problem(plain(passes), seven) == ""


@pytest.mark.parametrize("rule", RULES)
def test_what_breaks_a_rule_is_refused_with_the_remedy(
    plain: Callable[[list[str]], DictConfig], seven: ModelShape, rule: str
) -> None:
    _, fails, said = RULES[rule]
    assert said in problem(plain(fails), seven)


@pytest.mark.parametrize("gpus", [3, 5, 6, 7])
def test_numbers_of_gpus_that_do_not_divide_32_texts_are_refused(
    plain: Callable[[list[str]], DictConfig], seven: ModelShape, gpus: int
) -> None:
    config = plain([f"trainer.n_gpus_per_node={gpus}"])
    assert f"= 32 texts, which {gpus} ranks cannot share evenly" in problem(config, seven)
    size = round(32 / gpus) * gpus
    config = plain(
        [
            f"trainer.n_gpus_per_node={gpus}",
            f"{ACTOR}.ppo_mini_batch_size={size}",
            f"data.train_batch_size={size}",
        ]
    )
    assert problem(config, seven) == ""


def test_fused_kernels_work_where_the_output_layer_is_tied(
    plain: Callable[[list[str]], DictConfig], models: Models
) -> None:
    assert problem(plain([f"{MODEL}.use_fused_kernels=true"]), models["Qwen2.5-1.5B"]) == ""


def test_a_model_that_knows_no_longest_text_takes_any(
    plain: Callable[[list[str]], DictConfig], seven: ModelShape
) -> None:
    config = plain([f"{ROLLOUT}.max_model_len=99999"])
    assert problem(config, replace(seven, positions=0)) == ""
    assert problem(config, seven) != ""


# Rows and steps


def steps_problem(config: DictConfig, rows: int, kept: int | None = None) -> str:
    try:
        check_steps(config, rows, rows if kept is None else kept)
    except SettingError as error:
        return str(error)
    return ""


def with_steps(composed: Composed, batch: int, epochs: int, steps: int | None, **data: Any) -> DictConfig:
    return composed(
        "cpu",
        f"data.train_batch_size={batch}",
        f"trainer.total_epochs={epochs}",
        f"trainer.total_training_steps={'null' if steps is None else steps}",
        *(f"data.{name}={value}" for name, value in data.items()),
    )


def test_more_steps_than_the_epochs_have_are_refused_with_both_remedies(composed: Composed) -> None:
    said = steps_problem(with_steps(composed, 4, 1, 10), 12)
    assert said == (
        "trainer.total_training_steps is 10, but 12 rows in batches of 4 are 3 steps an epoch, and "
        "trainer.total_epochs is 1: set trainer.total_epochs=4, or trainer.total_training_steps=3"
    )
    assert steps_problem(with_steps(composed, 4, 4, 10), 12) == ""
    assert steps_problem(with_steps(composed, 4, 1, 3), 12) == ""


@pytest.mark.parametrize(
    ("batch", "rows", "kept", "said"),
    [
        (4, 4, 4, ""),
        (4, 3, 3, "data.train_batch_size is 4, but the training set has 3 rows: lower it, to at most 3"),
        (4, 9, 3, "has 3 rows (6 are longer than data.max_prompt_length): lower it, to at most 3"),
        (4, 9, 0, "has 0 rows (9 are longer than data.max_prompt_length): raise data.max_prompt_length"),
    ],
)
def test_a_batch_needs_rows(composed: Composed, batch: int, rows: int, kept: int, said: str) -> None:
    assert said in steps_problem(with_steps(composed, batch, 1, None), rows, kept) or not said
    assert bool(steps_problem(with_steps(composed, batch, 1, None), rows, kept)) is bool(said)


@pytest.mark.parametrize(("loaded", "said"), [(2, ""), (4, ""), (8, "it must divide"), (3, "it must divide")])
def test_what_is_loaded_at_once_divides_a_batch(composed: Composed, loaded: int, said: str) -> None:
    config = with_steps(composed, 4, 1, None)
    OmegaConf.update(config, "data.gen_batch_size", loaded, force_add=True)
    assert said in steps_problem(config, 12)
    assert bool(steps_problem(config, 12)) is bool(said)


@pytest.mark.parametrize(
    ("epochs", "steps", "setting"), [(0, None, "total_epochs"), (1, 0, "total_training_steps")]
)
def test_a_run_without_steps_is_refused(
    composed: Composed, epochs: int, steps: int | None, setting: str
) -> None:
    assert steps_problem(with_steps(composed, 4, epochs, steps), 12) == (
        f"trainer.{setting} is 0: it must be at least 1"
    )


def test_rows_that_verl_does_not_draw_do_not_count(composed: Composed) -> None:
    config = with_steps(composed, 4, 2, None, train_max_samples=8)
    assert total_steps(config, 100) == 4
    assert "the training set has 3 rows" in steps_problem(
        with_steps(composed, 4, 2, None, train_max_samples=3), 100
    )


@pytest.mark.parametrize(("steps", "total"), [(None, 6), (5, 5)])
def test_the_steps_of_a_run_are_its_epochs_or_what_it_is_told(
    composed: Composed, steps: int | None, total: int
) -> None:
    assert total_steps(with_steps(composed, 4, 2, steps), 15) == total


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 60), st.none() | st.integers(1, 300))
def test_what_is_accepted_trains_all_its_steps(
    composed: Composed, batch: int, rows: int, epochs: int, steps: int | None
) -> None:
    config = with_steps(composed, batch, epochs, steps)
    said = steps_problem(config, rows)
    if not said:
        assert 1 <= total_steps(config, rows) <= rows // batch * epochs
        return
    # Each remedy that is named works.
    changes = dict(re.findall(r"(total_epochs|total_training_steps)=(\d+)", said))
    if lower := re.search(r"to at most (\d+)", said):
        assert "data.train_batch_size" not in steps_problem(
            with_steps(composed, int(lower[1]), epochs, steps), rows
        )
    for setting, value in changes.items():
        epochs_now, steps_now = (int(value), steps) if setting == "total_epochs" else (epochs, int(value))
        assert steps_problem(with_steps(composed, batch, epochs_now, steps_now), rows) == ""


# Whatever is accepted


@st.composite
def runs(draw: st.DrawFn, shape: RunShape) -> RunShape:
    """The run with other numbers, alike for actor and critic."""
    ulysses, mini_batch = draw(st.sampled_from([1, 1, 2, 4])), draw(st.integers(1, 64))
    nodes, per_node = draw(st.sampled_from([1, 1, 1, 2])), draw(st.integers(1, 9))
    tensor_parallel = draw(st.sampled_from([1, 2, 4, 8]))
    changed = {
        "ulysses": ulysses,
        "mini_batch": mini_batch,
        "attention": "flash_attention_2",
    }
    return replace(
        shape,
        gpus=nodes * per_node,
        gpus_per_node=per_node,
        prompts=draw(st.integers(1, 64)),
        rollouts=draw(st.integers(1, 9)),
        tensor_parallel=tensor_parallel,
        server_gpus=tensor_parallel,
        actor=replace(shape.actor, **changed),
        critic=replace(shape.critic, **changed) if shape.critic else None,
    )


@pytest.fixture(scope="session")
def ppo(plain: Callable[[list[str]], DictConfig]) -> DictConfig:
    """PPO on one GPU; not to be changed."""
    return plain([])


@given(st.data())
def test_what_is_accepted_divides_evenly_and_each_remedy_is_accepted(
    ppo: DictConfig, seven: ModelShape, data: st.DataObject
) -> None:
    shape = data.draw(runs(RunShape.of(ppo)))
    said = told(ppo, shape, seven)
    if not said:
        assert shape.gpus % shape.server_gpus == 0
        for size in (shape.tensor_parallel, shape.actor.ulysses):
            assert seven.heads % size == 0
            assert seven.key_value_heads % size == 0 or size % seven.key_value_heads == 0
        for part in shape.trained:
            assert shape.gpus % part.ulysses == 0
            assert part.mini_batch * shape.rollouts % (shape.gpus // part.ulysses) == 0
        assert fitting_gpus(shape) == shape.gpus
        return
    if count := re.search(r"use (\d+) GPUs", said):
        gpus = int(count[1])
        assert gpus < shape.gpus
        assert gpus % shape.nodes == 0
        fewer = replace(shape, gpus=gpus, gpus_per_node=gpus // shape.nodes)
        assert told(ppo, fewer, seven) == "" or "attention heads" in told(ppo, fewer, seven)
    if sizes := re.search(r"tensor_model_parallel_size to one of ([\d, ]+\d)", said):
        for size in map(int, sizes[1].split(", ")):
            assert ROLLOUT not in told(ppo, replace(shape, tensor_parallel=size, server_gpus=size), seven)
    if size := re.search(r"ppo_mini_batch_size=(\d+)", said):
        prompts = re.search(r"train_batch_size=(\d+)", said)
        larger = replace(
            shape,
            prompts=int(prompts[1]) if prompts else shape.prompts,
            actor=replace(shape.actor, mini_batch=int(size[1])),
            critic=replace(shape.critic, mini_batch=int(size[1])) if shape.critic else None,
        )
        assert told(ppo, larger, seven) == ""
        assert larger.prompts % larger.actor.mini_batch == 0


@given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 128))
def test_each_remedy_for_two_sizes_of_mini_batches_is_accepted(
    ppo: DictConfig, seven: ModelShape, actor: int, critic: int, prompts: int
) -> None:
    shape = RunShape.of(ppo)
    assert shape.critic is not None
    shape = replace(
        shape,
        prompts=prompts,
        actor=replace(shape.actor, mini_batch=actor),
        critic=replace(shape.critic, mini_batch=critic),
    )
    said = told(ppo, shape, seven)
    if not said:
        assert actor == critic or prompts % math.lcm(actor, critic) == 0
        return
    values = dict(re.findall(r"([a-z_]+)=(\d+)", said))
    assert told(ppo, replace(shape, prompts=int(values["train_batch_size"])), seven) == ""
    alike = replace(shape, critic=replace(shape.critic, mini_batch=int(values["ppo_mini_batch_size"])))
    assert told(ppo, alike, seven) == ""


@given(st.integers(1, 1 << 31), st.integers(1, 4096))
def test_the_bucket_that_is_named_is_accepted(
    ppo: DictConfig, seven: ModelShape, largest: int, mib: int
) -> None:
    shape, model = replace(RunShape.of(ppo), bucket_bytes=mib << 20), replace(seven, largest=largest)
    said = told(ppo, shape, model)
    assert bool(said) is (4 * largest > mib << 20)
    if said:
        named = int(said.rsplit(" ", 1)[1])
        assert told(ppo, replace(shape, bucket_bytes=named << 20), model) == ""
