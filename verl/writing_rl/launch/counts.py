"""Which numbers of a configuration fit together.

verl 0.9.1 asserts most of this late: after its models are loaded, or after the first step was written and
paid for; some of it never, and trains wrongly. The place in verl is named at each rule.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from omegaconf import DictConfig, OmegaConf

from writing_rl.errors import SettingError
from writing_rl.launch.run_shape import Part, RunShape
from writing_rl.models.model_shape import ModelShape
from writing_rl.util.gpus import VISIBLE

ROLLOUT = "actor_rollout_ref.rollout"
GPUS = "trainer.n_gpus_per_node"


def check_counts(config: DictConfig, shape: RunShape, model: ModelShape) -> None:
    """Checks the numbers of a run against each other and against its model.

    Args:
        config: The resolved configuration.
        shape: Its numbers.
        model: The size of the model.

    Raises:
        SettingError: The first that does not fit.
    """
    _check_tensor_parallel(shape, model)
    for part in shape.parts:
        _check_ulysses(part, shape, model)
    for part in shape.trained:
        _check_mini_batch(part, shape)
    _check_reference(shape)
    _check_two_mini_batches(shape)
    _check_lengths(shape, model)
    _check_weight_transfer(config, shape, model)
    _check_without_effect(config, shape)


def check_steps(config: DictConfig, rows: int, kept: int) -> None:
    """Checks that the rows are enough for the steps (verl 0.9.1, `trainer_base.py`).

    Args:
        config: The resolved configuration.
        rows: Rows of the training set.
        kept: Rows that are left after `data.filter_overlong_prompts`.

    Raises:
        SettingError: verl would end at once, or end with fewer steps and without saving the last.
    """
    batch, used = int(config.data.train_batch_size), _used_rows(config, kept)
    steps = used // batch
    if steps == 0:
        filtered = f" ({rows - kept} are longer than data.max_prompt_length)" if kept < rows else ""
        remedy = f"lower it, to at most {used}" if used else "raise data.max_prompt_length"
        raise SettingError(
            f"data.train_batch_size is {batch}, but the training set has {used} rows{filtered}: {remedy}"
        )
    loaded = config.data.get("gen_batch_size")
    if loaded and batch % int(loaded):
        raise SettingError(f"data.gen_batch_size is {loaded}: it must divide data.train_batch_size ({batch})")
    wanted, epochs = config.trainer.total_training_steps, int(config.trainer.total_epochs)
    for setting, number in (("total_epochs", epochs), ("total_training_steps", wanted)):
        if number is not None and int(number) < 1:
            raise SettingError(f"trainer.{setting} is {number}: it must be at least 1")
    if wanted is not None and int(wanted) > steps * epochs:
        raise SettingError(
            f"trainer.total_training_steps is {wanted}, but {used} rows in batches of {batch} are {steps} "
            f"steps an epoch, and trainer.total_epochs is {epochs}: set "
            f"trainer.total_epochs={math.ceil(int(wanted) / steps)}, or "
            f"trainer.total_training_steps={steps * epochs}"
        )


def total_steps(config: DictConfig, kept: int) -> int:
    """Steps of the whole run, for a training set of which so many rows are left."""
    wanted = config.trainer.total_training_steps
    if wanted is not None:
        return int(wanted)
    return _used_rows(config, kept) // int(config.data.train_batch_size) * int(config.trainer.total_epochs)


def fitting_gpus(shape: RunShape) -> int:
    """The most of a run's GPUs among which its servers and its texts divide; 0 where there are none."""
    for count in range(shape.gpus, 0, -shape.nodes):
        fewer = replace(shape, gpus=count, gpus_per_node=count // shape.nodes)
        if (
            _shares_evenly(fewer, shape.server_gpus)
            and all(count % part.ulysses == 0 for part in shape.parts)
            and all(_texts(part, shape) % fewer.ranks(part) == 0 for part in shape.trained)
            and _reference_shares_evenly(fewer)
        ):
            return count
    return 0


def _texts(part: Part, shape: RunShape) -> int:
    """Texts of an update."""
    return part.mini_batch * shape.rollouts


def _shares_evenly(shape: RunShape, server: int) -> bool:
    """Whether servers of that many GPUs share all GPUs, and none lies on parts of two nodes (replica.py)."""
    node = shape.gpus_per_node
    return shape.gpus % server == 0 and (node % server == 0 or server % node == 0)


def _reference_shares_evenly(shape: RunShape) -> bool:
    """Whether the reference's ranks share what verl fills a step's texts up to, which goes by the others."""
    filled = math.lcm(*(_texts(part, shape) for part in shape.trained))
    return shape.reference is None or filled % shape.ranks(shape.reference) == 0


def _used_rows(config: DictConfig, kept: int) -> int:
    """Rows that verl may use, at most: it draws `data.train_max_samples`, then leaves long prompts out."""
    most = int(config.data.get("train_max_samples") or -1)
    return min(kept, most) if most > 0 else kept


def _or_fewer_gpus(shape: RunShape) -> str:
    count = fitting_gpus(shape)
    return f", or use {count} GPUs ({VISIBLE}, or {GPUS})" if count else ""


def _check_tensor_parallel(shape: RunShape, model: ModelShape) -> None:
    size, rest = shape.tensor_parallel, shape.server_gpus // shape.tensor_parallel
    setting = f"{ROLLOUT}.tensor_model_parallel_size"
    if not _shares_evenly(shape, shape.server_gpus):  # engine_workers.py, after all models are loaded
        sizes = [number for number in _fitting_heads(model) if _shares_evenly(shape, number * rest)]
        remedy = f"set {setting} to one of {_listed(sizes)}" if sizes else "use other numbers"
        raise SettingError(
            f"{GPUS} and trainer.nnodes give {shape.gpus} GPUs, which vLLM's servers of {shape.server_gpus} "
            f"GPUs ({setting} is {size}) do not share evenly: {remedy}{_or_fewer_gpus(shape)}"
        )
    _check_heads(size, setting, model)


def _check_ulysses(part: Part, shape: RunShape, model: ModelShape) -> None:
    size = part.ulysses
    if size == 1:
        return
    setting = f"{part.name}'s ulysses_sequence_parallel_size"
    if part.attention != "flash_attention_2":
        # verl patches flash-attn's function only, and cuts the texts all the same: wrong probabilities, no
        # error.
        raise SettingError(
            f"{setting} is {size}, which computes wrong probabilities with attention of {part.attention}: "
            "set it to 1, or install flash-attn (FLASH_ATTN of scripts/setup_env.sh)"
        )
    if shape.gpus % size:  # no check in verl: the left-over ranks fail in torch
        raise SettingError(f"{setting} is {size}: it must divide the {shape.gpus} GPUs")
    _check_heads(size, setting, model)


def _check_heads(size: int, setting: str, model: ModelShape) -> None:
    if size not in _fitting_heads(model):
        raise SettingError(
            f"{setting} is {size}, which does not fit a model of {model.heads} attention heads and "
            f"{model.key_value_heads} of keys and values: use one of {_listed(_fitting_heads(model))}"
        )


def _check_mini_batch(part: Part, shape: RunShape) -> None:
    ranks, texts = shape.ranks(part), _texts(part, shape)
    if texts and texts % ranks == 0:
        return
    # engine_workers.py, at the first update, after a step was written and judged
    size = _nearest_multiple(part.mini_batch, ranks // math.gcd(ranks, shape.rollouts))
    prompts = _nearest_multiple(shape.prompts, size)
    # Prompts that do not fill their last update would make one of a few texts.
    also = f" and data.train_batch_size={prompts}" if prompts != shape.prompts else ""
    raise SettingError(
        f"{part.name}.ppo_mini_batch_size x rollout.n is {part.mini_batch} x {shape.rollouts} = {texts} "
        f"texts, which {ranks} ranks cannot share evenly: set {part.name}.ppo_mini_batch_size={size}{also}"
        f"{_or_fewer_gpus(shape)}"
    )


def _check_reference(shape: RunShape) -> None:
    reference = shape.reference
    if reference is not None and not _reference_shares_evenly(shape):  # trainer_base.py, at the first step
        raise SettingError(
            f"the {shape.ranks(reference)} ranks of {reference.name} cannot share the texts of "
            "an update evenly: set its fsdp_config.ulysses_sequence_parallel_size to that of the actor "
            f"({shape.actor.ulysses})"
        )


def _check_two_mini_batches(shape: RunShape) -> None:
    if shape.critic is None or shape.critic.mini_batch == shape.actor.mini_batch:
        return
    both = math.lcm(shape.critic.mini_batch, shape.actor.mini_batch)
    if shape.prompts % both:  # padding that fills a whole mini-batch divides by zero, and the update is lost
        raise SettingError(
            f"the mini-batches of actor and critic are {shape.actor.mini_batch} and "
            f"{shape.critic.mini_batch} prompts, and data.train_batch_size {shape.prompts}: set "
            f"data.train_batch_size={_nearest_multiple(shape.prompts, both)}, or "
            f"critic.ppo_mini_batch_size={shape.actor.mini_batch}"
        )


def _check_lengths(shape: RunShape, model: ModelShape) -> None:
    for part in shape.parts:
        for setting, tokens in part.tokens.items():
            if tokens * part.ulysses < shape.tokens:  # seqlen_balancing.py, at the first long text
                raise SettingError(
                    f"{setting} is {tokens}, less than one text of data.max_prompt_length + "
                    f"data.max_response_length = {shape.tokens} tokens: raise it to at least "
                    f"{math.ceil(shape.tokens / part.ulysses)} (PPO_MAX_TOKEN_LEN_PER_GPU sets all of them)"
                )
    longest = shape.max_model_len
    if longest is not None and longest < shape.tokens:  # vllm_async_server.py cuts the text short, silently
        raise SettingError(
            f"{ROLLOUT}.max_model_len is {longest}, less than data.max_prompt_length + "
            f"data.max_response_length: raise it to {shape.tokens}"
        )
    if model.positions and (longest or shape.tokens) > model.positions:
        raise SettingError(
            f"the model was made for {model.positions} tokens, and a text may have {longest or shape.tokens} "
            f"({ROLLOUT}.max_model_len, or data.max_prompt_length + data.max_response_length): lower them"
        )


def _check_weight_transfer(config: DictConfig, shape: RunShape, model: ModelShape) -> None:
    ours, rollout = config.actor_rollout_ref.model, config.actor_rollout_ref.rollout
    lora = ours.get("lora") or {}
    lora_rank = shape.actor.lora_rank
    sends_all = not lora_rank or lora.get("merge") or rollout.load_format == "dummy"
    largest = model.largest * shape.actor.width
    if sends_all and largest > shape.bucket_bytes:
        # bucketed_weight_transfer.py: refused on a CPU; on GPUs another path, which we have not tried.
        mib = math.ceil(largest / 2**20)
        raise SettingError(
            f"{ROLLOUT}.checkpoint_engine.update_weights_bucket_megabytes is {shape.bucket_bytes >> 20}, "
            f"less than the model's largest weight ({mib} MiB): set it to {1 << (mib - 1).bit_length()}"
        )
    if lora.get("rank") and not lora_rank:
        raise SettingError(
            "actor_rollout_ref.model.lora.rank is for Megatron; FSDP reads "
            "actor_rollout_ref.model.lora_rank: set that"
        )
    if lora_rank and rollout.layered_summon and rollout.load_format == "dummy":
        # fsdp_utils.py, at the first sync
        raise SettingError(f"{ROLLOUT}.layered_summon needs {ROLLOUT}.load_format=safetensors")
    if ours.use_fused_kernels and shape.actor.strategy == "fsdp2" and not model.tied:
        # dense_common.py uses the output layer's weight, which FSDP2 has sharded.
        raise SettingError(
            "actor_rollout_ref.model.use_fused_kernels does not work with fsdp2 and a model whose output "
            "layer is not tied to its embeddings: set it to false"
        )


def _check_without_effect(config: DictConfig, shape: RunShape) -> None:
    actor, correction = config.actor_rollout_ref.actor, config.algorithm.rollout_correction
    # core_algos.py: low and high have values of their own, which win.
    if actor.clip_ratio not in (0.2, actor.clip_ratio_low, actor.clip_ratio_high):
        raise SettingError(
            f"actor_rollout_ref.actor.clip_ratio={actor.clip_ratio} has no effect beside clip_ratio_low and "
            "clip_ratio_high: set these two"
        )
    if correction.bypass_mode and (correction.rollout_is or correction.rollout_rs):
        raise SettingError(
            "algorithm.rollout_correction.bypass_mode=true leaves rollout_is and rollout_rs without "
            "effect: set it to false"
        )
    budget = OmegaConf.select(config, "critic.ppo_max_token_len_per_gpu")
    read = shape.critic and shape.critic.tokens.get("critic.ppo_infer_max_token_len_per_gpu")
    if read and budget is not None and int(budget) != read:
        raise SettingError(
            f"critic.ppo_max_token_len_per_gpu is {budget}, but verl 0.9.1 reads "
            f"critic.ppo_infer_max_token_len_per_gpu ({read}) in its place: set both alike"
        )


def _fitting_heads(model: ModelShape) -> list[int]:
    """Among how many GPUs a model's attention can be divided."""
    keys = model.key_value_heads
    return [size for size in _divisors(model.heads) if keys % size == 0 or size % keys == 0]


def _divisors(number: int) -> list[int]:
    return [size for size in range(1, number + 1) if number % size == 0]


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _nearest_multiple(number: int, of: int) -> int:
    return max(of, round(number / of) * of)
