"""The numbers of a configuration that decide what fits together and how much memory and disk a run takes."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf

from writing_rl.models.model_shape import ModelShape

#: verl's names of types of two bytes (`utils/torch_dtypes.py`).
HALF = ("bf16", "bfloat16", "fp16", "float16", "half", "16")
#: What verl takes for a critic's limit of tokens where a configuration has none (`workers/config/critic.py`).
CRITIC_TOKENS = 32768


@dataclass(frozen=True)
class Part:
    """One of the models that are trained or asked for probabilities: actor, critic or reference.

    Attributes:
        name: Its key in the configuration.
        strategy: `fsdp` or `fsdp2`.
        width: Bytes of a weight in the training's own precision.
        mini_batch: Prompts of an update; 0 for the reference, which has none.
        ulysses: Ranks that share a text (Ulysses sequence parallelism).
        tokens: Most tokens of a GPU's batch, by the settings that limit them.
        lora_rank: Rank of its adapters; 0 trains all weights.
        offloads_weights: Whether its weights are in main memory while the others work.
        offloads_adam: The same of Adam's states.
        never_on_gpu: Whether all of it stays in main memory in the update as well (FSDP2's `offload_policy`).
        attention: What transformers calls its attention.
        checkpointing: Whether activations are computed again in the backward pass (gradient checkpointing).
        fused: Whether a fused kernel spares it the logits.
        saves: What a checkpoint holds: model, optimizer, extra, hf_model.
        loads: What a resumed run reads of it.
        saves_adapters_only: Whether `model` is the adapters alone.
    """

    name: str
    strategy: str
    width: int
    mini_batch: int
    ulysses: int
    tokens: dict[str, int]
    lora_rank: int
    offloads_weights: bool
    offloads_adam: bool
    never_on_gpu: bool
    attention: str
    checkpointing: bool
    fused: bool
    saves: tuple[str, ...]
    loads: tuple[str, ...]
    saves_adapters_only: bool

    def weights(self, model: ModelShape) -> int:
        """Its weights without adapters; a critic has one value a token in the place of the output layer."""
        if self.name != "critic":
            return model.parameters
        output = 0 if model.tied else model.vocabulary * model.hidden
        return model.parameters - output + model.hidden

    def adapters(self, model: ModelShape) -> int:
        """The weights of its adapters."""
        return model.lora_parameters(self.lora_rank)

    def learnt(self, model: ModelShape) -> int:
        """The weights that an update changes."""
        return self.adapters(model) if self.lora_rank else self.weights(model)

    def saved_bytes(self, model: ModelShape) -> int:
        """Bytes of its checkpoint: weights and Adam's two states, in the training's own precision."""
        adapters = self.adapters(model)
        only = self.saves_adapters_only and self.lora_rank
        sizes = {
            "model": adapters if only else self.weights(model) + adapters,
            "optimizer": 2 * self.learnt(model),
            "hf_model": self.weights(model),
        }
        return self.width * sum(sizes.get(saved, 0) for saved in self.saves)


@dataclass(frozen=True)
class RunShape:
    """What verl is asked to run.

    Attributes:
        gpus: Ranks over all nodes.
        gpus_per_node: Ranks of a node.
        prompts: Prompts of a step.
        rollouts: Texts of a prompt.
        prompt_tokens: Most tokens of a prompt.
        response_tokens: Most tokens of a text.
        tensor_parallel: GPUs that share the weights of a vLLM server.
        server_gpus: GPUs of a vLLM server.
        utilization: Share of a GPU's memory that vLLM takes.
        keeps_cache: Whether vLLM keeps its memory while the policy is updated.
        max_model_len: Most tokens of a text with its prompt in vLLM; None is the model's own maximum.
        bucket_bytes: The buffer in which weights go to vLLM.
        actor: The policy.
        critic: The critic, where one is trained.
        reference: A reference model of its own, where one is loaded; with LoRA the actor is its own.
        on_cpu: Whether the ranks run on the CPU.
    """

    gpus: int
    gpus_per_node: int
    prompts: int
    rollouts: int
    prompt_tokens: int
    response_tokens: int
    tensor_parallel: int
    server_gpus: int
    utilization: float
    keeps_cache: bool
    max_model_len: int | None
    bucket_bytes: int
    actor: Part
    critic: Part | None
    reference: Part | None
    on_cpu: bool

    @property
    def tokens(self) -> int:
        """Most tokens of a text with its prompt."""
        return self.prompt_tokens + self.response_tokens

    @property
    def nodes(self) -> int:
        """Machines."""
        return self.gpus // self.gpus_per_node

    @property
    def trained(self) -> list[Part]:
        """The models that a checkpoint holds."""
        return [self.actor, *([self.critic] if self.critic else [])]

    @property
    def parts(self) -> list[Part]:
        """All models beside vLLM's."""
        return [*self.trained, *([self.reference] if self.reference else [])]

    def ranks(self, part: Part) -> int:
        """Ranks among which a part's texts are divided."""
        return self.gpus // part.ulysses

    def checkpoint_bytes(self, model: ModelShape) -> int:
        """Bytes of one checkpoint."""
        return sum(part.saved_bytes(model) for part in self.trained)

    @classmethod
    def of(cls, config: DictConfig) -> RunShape:
        """Reads it from a configuration, by verl's own rules (v0.9.1)."""
        ours, critic = config.actor_rollout_ref, config.critic
        model, rollout = ours.model, ours.rollout
        with_reference = config.algorithm.use_kl_in_reward or ours.actor.use_kl_loss
        is_own_reference = model.get("lora_rank") or model.get("lora_adapter_path") is not None
        length = config.data.max_prompt_length + config.data.max_response_length
        name = "actor_rollout_ref"
        return cls(
            gpus=config.trainer.n_gpus_per_node * config.trainer.nnodes,
            gpus_per_node=config.trainer.n_gpus_per_node,
            prompts=config.data.train_batch_size,
            rollouts=rollout.n,
            prompt_tokens=config.data.max_prompt_length,
            response_tokens=config.data.max_response_length,
            tensor_parallel=rollout.tensor_model_parallel_size,
            server_gpus=rollout.tensor_model_parallel_size
            * rollout.data_parallel_size
            * rollout.pipeline_model_parallel_size,
            utilization=rollout.gpu_memory_utilization,
            keeps_cache=not (rollout.free_cache_engine and rollout.get("enable_sleep_mode", True)),
            max_model_len=rollout.max_model_len,
            bucket_bytes=rollout.checkpoint_engine.update_weights_bucket_megabytes << 20,
            actor=_part(
                f"{name}.actor",
                ours.actor,
                model,
                tokens=_tokens(f"{name}.actor", ours.actor, "ppo_{}", length)
                | _tokens(f"{name}.rollout", rollout, "log_prob_{}", length),
            ),
            # verl reads the limit of its forward passes for a critic's updates, too (trainer_base.py).
            critic=_part("critic", critic, critic.model, _tokens("critic", critic, "ppo_infer_{}", length))
            if trains_critic(config)
            else None,
            reference=_part(
                f"{name}.ref", ours.ref, model, _tokens(f"{name}.ref", ours.ref, "log_prob_{}", length)
            )
            if with_reference and not is_own_reference
            else None,
            on_cpu=config.trainer.device == "cpu",
        )


def trains_critic(config: DictConfig) -> bool:
    """Whether a critic is trained (verl 0.9.1, `need_critic`)."""
    enabled = config.critic.enable
    return bool(enabled) if enabled is not None else config.algorithm.adv_estimator == "gae"


def _part(name: str, block: DictConfig, model: DictConfig, tokens: dict[str, int]) -> Part:
    fsdp = block.fsdp if name == "critic" else block.fsdp_config
    ulysses = int(fsdp.get("ulysses_sequence_parallel_size") or 1)
    # The older name of the setting, which verl takes over for all but the critic.
    if name != "critic" and int(block.get("ulysses_sequence_parallel_size") or 1) > 1:
        ulysses = int(block.ulysses_sequence_parallel_size)
    precision = fsdp.get("model_dtype") or ("bf16" if fsdp.get("forward_only") else "fp32")
    checkpoint = OmegaConf.select(block, "checkpoint") or OmegaConf.create({})
    never_on_gpu = block.strategy == "fsdp2" and bool(fsdp.get("offload_policy"))
    return Part(
        name=name,
        strategy=str(block.strategy),
        width=2 if str(precision) in HALF else 4,
        mini_batch=int(block.get("ppo_mini_batch_size") or 0),
        ulysses=ulysses,
        tokens=tokens,
        lora_rank=int(model.get("lora_rank") or 0),
        offloads_weights=bool(fsdp.get("param_offload")) or never_on_gpu,
        offloads_adam=bool(fsdp.get("optimizer_offload")) or never_on_gpu,
        never_on_gpu=never_on_gpu,
        attention=str((model.get("override_config") or {}).get("attn_implementation", "flash_attention_2")),
        checkpointing=bool(model.get("enable_gradient_checkpointing", False)),
        fused=bool(model.get("use_fused_kernels", False)),
        saves=tuple(checkpoint.get("save_contents") or ()),
        loads=tuple(checkpoint.get("load_contents") or ()),
        saves_adapters_only=bool(checkpoint.get("save_lora_only", False)),
    )


def _tokens(name: str, block: DictConfig, prefix: str, length: int) -> dict[str, int]:
    """The setting that limits a part's batches, and the tokens that it allows.

    Args:
        name: The part's key in the configuration.
        block: Its settings.
        prefix: What its settings begin with.
        length: Most tokens of a text with its prompt.
    """
    dynamic = block.get("log_prob_use_dynamic_bsz" if "log_prob" in prefix else "use_dynamic_bsz")
    if dynamic:
        setting = prefix.format("max_token_len_per_gpu")
        return {f"{name}.{setting}": int(block.get(setting) or CRITIC_TOKENS)}
    setting = prefix.replace("_infer", "").format("micro_batch_size_per_gpu")
    return {f"{name}.{setting}": int(block.get(setting) or 1) * length}
