"""How much memory and disk a run takes, by arithmetic on the sizes of its model.

Rules of thumb: the large terms (weights, Adam, logits) are close, the rest are constants. `--rehearse`
measures. Bytes throughout.
"""

from __future__ import annotations

from dataclasses import dataclass

from writing_rl.launch.run_shape import Part, RunShape
from writing_rl.models.model_shape import ModelShape

#: Bytes for each entry of the logits: bfloat16, the float32 of its log-probabilities, and their gradient.
LOGIT = 8
#: Widths of a layer, in bytes a token, that one layer's forward and backward pass hold: its attention and
#: MLP.
LAYER_WORK = 80
#: Widths of a layer, for each layer and token, that wait for the backward pass: all that it needs, or with
#: gradient checkpointing the layer's input.
KEPT, KEPT_INPUT = 16, 1
#: What vLLM has beside weights and cache: its CUDA context, CUDA graphs, and work for a batch.
VLLM_CONSTANT = 2_000_000_000
#: The same of the trainer: its context and NCCL's buffers.
TRAINER_CONSTANT = 2_000_000_000
#: A Python process with torch, verl and vLLM.
PROCESS = 2_000_000_000
#: The same on a CPU, where they are forked from one and share most of it.
FORKED_PROCESS = 300_000_000
#: Processes beside those of the ranks: driver, runner, rewards, agent loops, storage.
PROCESSES = 10


@dataclass(frozen=True)
class Estimate:
    """What a run takes at most.

    Attributes:
        update: Memory of a GPU while a model is updated.
        rollout: Memory of a GPU while texts are written: vLLM's share, and what is not offloaded.
        rollout_floor: What vLLM needs of its share at least: its weights and one text of full length.
        host: Main memory of a node.
        checkpoint: One checkpoint on disk.
    """

    update: int
    rollout: int
    rollout_floor: int
    host: int
    checkpoint: int


def estimate(shape: RunShape, model: ModelShape, gpu_bytes: int = 0) -> Estimate:
    """Estimates what a run takes.

    Args:
        shape: What is run.
        model: The size of its model.
        gpu_bytes: Memory of a GPU, of which vLLM takes its share.
    """
    share = int(shape.utilization * gpu_bytes)
    asleep = share if shape.keeps_cache else VLLM_CONSTANT
    longest = shape.max_model_len or max(model.positions, shape.tokens)
    split = 2 * model.parameters + longest * model.cache_bytes()
    return Estimate(
        update=max(_update(part, shape, model) for part in shape.trained) + asleep,
        rollout=share + sum(_resident(part, shape, model) for part in shape.trained) + TRAINER_CONSTANT,
        rollout_floor=split // shape.tensor_parallel + VLLM_CONSTANT,
        host=_host(shape, model),
        checkpoint=shape.checkpoint_bytes(model),
    )


def _update(part: Part, shape: RunShape, model: ModelShape) -> int:
    """Memory of a GPU for an update of one part, without vLLM's."""
    weights = part.weights(model) + part.adapters(model)
    # Weights, gradients and Adam's two states are sharded over all ranks.
    states = 0 if part.never_on_gpu else part.width * (weights + 3 * part.learnt(model)) // shape.gpus
    others = sum(_resident(other, shape, model) for other in shape.trained if other is not part)
    # Of Ulysses' longer batches each rank holds as much as it would of its own.
    tokens = max(part.tokens.values())
    outputs = 1 if part.name == "critic" or part.fused else model.vocabulary
    layers = model.layers * (KEPT_INPUT if part.checkpointing else KEPT) * 2 + LAYER_WORK
    mask = tokens * tokens if part.attention == "sdpa" else 0
    return states + others + tokens * (outputs * LOGIT + layers * model.hidden) + mask + TRAINER_CONSTANT


def _resident(part: Part, shape: RunShape, model: ModelShape) -> int:
    """What a part leaves on a GPU while the others work."""
    weights = 0 if part.offloads_weights else part.weights(model) + part.adapters(model)
    adam = 0 if part.offloads_adam else 2 * part.learnt(model)
    return part.width * (weights + adam) // shape.gpus


def _host(shape: RunShape, model: ModelShape) -> int:
    total = 0
    for part in shape.trained:
        if part.offloads_weights or shape.on_cpu:
            total += part.width * (part.weights(model) + part.adapters(model))
        if part.offloads_adam or shape.on_cpu:
            total += part.width * 2 * part.learnt(model)
        if part.never_on_gpu or shape.on_cpu:
            total += part.width * part.learnt(model)  # gradients
    if shape.reference:  # verl keeps it in main memory at all times
        total += shape.reference.width * model.parameters
    if shape.actor.lora_rank and not shape.keeps_cache:  # vLLM's sleep keeps the base's weights
        total += 2 * model.parameters * shape.gpus // shape.tensor_parallel
    # Each rank reads a tied model whole before it is sharded, one rank any other (transformer_impl.py).
    reading = shape.actor.width * model.parameters * (shape.gpus_per_node if model.tied else 1)
    processes = (PROCESSES + 2 * shape.gpus_per_node) * (FORKED_PROCESS if shape.on_cpu else PROCESS)
    return max(total // shape.nodes, reading) + processes
