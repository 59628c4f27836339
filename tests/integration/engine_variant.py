"""Runs verl's FSDP2 engine alone, in several variants, and compares each with plain transformers.

    python engine_variant.py FOLDER

Each variant runs in processes of its own, forked from one that has imported verl: some of verl's patches are
never taken back. FOLDER gets the tiny models and `results.json`: by variant the largest differences, or the
error.
"""

from __future__ import annotations

import json
import math
import sys
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import transformers
from torch.distributed import all_gather_object, destroy_process_group, init_process_group
from torch.multiprocessing import ProcessRaisedException, start_processes
from verl.trainer.config import CheckpointConfig
from verl.utils.model import get_hf_auto_model_class
from verl.utils.tensordict_utils import get_tensordict
from verl.workers.config import FSDPEngineConfig, FSDPOptimizerConfig, HFModelConfig
from verl.workers.engine import EngineRegistry

LONGEST_WAIT_S = 300
VOCABULARY = 96
#: Tokens of each text's prompt and of its response.
LENGTHS = ((5, 9), (3, 17), (8, 4), (4, 12))
#: Two texts at a time on each rank; with Ulysses, whose ranks share texts, all four at once.
MOST_TOKENS = 40
LEARNING_RATE = 1e-4

SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
    "initializer_range": 0.2,  # clear preferences, so that a mistake shows
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": 0,
    "dtype": "float32",
}
#: Name of a model -> its architecture, and what differs from `SHAPE`.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen2": ("Qwen2ForCausalLM", {}),
    "tied": ("Qwen2ForCausalLM", {"tie_word_embeddings": True}),
    "qwen3": ("Qwen3ForCausalLM", {"num_key_value_heads": 2, "head_dim": 32}),
    "llama": ("LlamaForCausalLM", {"num_key_value_heads": 2}),
    "critic": ("Qwen2ForTokenClassification", {"num_labels": 1}),
}


@dataclass(frozen=True)
class Variant:
    """One way of running the engine.

    Attributes:
        model: A name of `MODELS`.
        ranks: How many processes share it.
        packed: verl's `use_remove_padding`.
        settings: Further settings of `HFModelConfig`.
        engine: Further settings of `FSDPEngineConfig`.
    """

    model: str = "qwen2"
    ranks: int = 1
    packed: bool = True
    settings: dict[str, Any] = field(default_factory=dict)
    engine: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """What verl calls this type of model."""
        return "value_model" if self.model == "critic" else "language_model"


FUSED = {"use_fused_kernels": True, "fused_kernel_options": {"impl_backend": "torch"}}
VARIANTS = {
    "padded": Variant(packed=False),
    "packed": Variant(),
    "packed, 2 ranks": Variant(ranks=2),
    # On a CPU nothing has to move for this: what is tried is verl's way through it.
    "offload, 2 ranks": Variant(
        ranks=2,
        settings={"enable_gradient_checkpointing": True},
        engine={"param_offload": True, "optimizer_offload": True},
    ),
    "qwen3": Variant("qwen3"),
    "llama": Variant("llama"),
    "critic, padded": Variant("critic", packed=False),
    "critic": Variant("critic"),
    "critic, 2 ranks": Variant("critic", ranks=2),
    "adapter": Variant(settings={"lora_rank": 8, "lora_alpha": 32}),
    "ulysses": Variant(ranks=2, engine={"ulysses_sequence_parallel_size": 2}),
    "fused, untied": Variant(settings=FUSED),
    "fused, tied": Variant("tied", settings=FUSED),
}

Outputs = dict[int, torch.Tensor]  # by the text's number: of each token of its response


def texts() -> list[torch.Tensor]:
    """Four texts of different lengths."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(1, VOCABULARY, (sum(lengths),), generator=generator) for lengths in LENGTHS]


def response_mask(number: int) -> torch.Tensor:
    """Where a text's token predicts one of the response: up to the last but one."""
    prompt, response = LENGTHS[number]
    return torch.tensor([0.0] * (prompt - 1) + [1.0] * response + [0.0])


def loss(outputs: torch.Tensor, is_critic: bool) -> torch.Tensor:
    """Something to train on, of each token."""
    return (outputs - 1) ** 2 if is_critic else -outputs


def make_models(folder: Path) -> None:
    """Saves the models, with random weights."""
    for name, (architecture, settings) in MODELS.items():
        kind = getattr(transformers, architecture)
        torch.manual_seed(0)
        kind(kind.config_class(**{**SHAPE, **settings})).save_pretrained(folder / name)


class Plain:
    """The truth: transformers' own model, one text at a time."""

    def __init__(self, model: str, folder: Path) -> None:
        kind = getattr(transformers, MODELS[model][0])
        self.is_critic = model == "critic"
        self.model = kind.from_pretrained(folder / model, attn_implementation="eager", dtype=torch.float32)

    def outputs(self) -> Outputs:
        return {number: output.detach() for number, output in self._outputs().items()}

    def update(self) -> float:
        """One step of training; returns the length of the gradient."""
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
        loss(torch.cat([*self._outputs().values()]), self.is_critic).mean().backward()
        length = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        optimizer.step()
        return float(length)

    def _outputs(self) -> Outputs:
        outputs = {}
        for number, text in enumerate(texts()):
            logits = self.model(text[None]).logits[0]
            if not self.is_critic:
                logits = logits.log_softmax(-1).gather(1, text.roll(-1)[:, None])
            outputs[number] = logits[response_mask(number).bool(), 0]
        return outputs


class Engine:
    """verl's engine (0.9.1), built and called as in its `engine_workers.py`."""

    def __init__(self, variant: Variant, folder: Path) -> None:
        self.variant = variant
        model = HFModelConfig(
            path=str(folder / variant.model),
            load_tokenizer=False,
            use_remove_padding=variant.packed,
            override_config={"attn_implementation": "sdpa"},
            **{"enable_gradient_checkpointing": False, **variant.settings},
        )
        model.model_type = variant.kind
        self.engine = EngineRegistry.new(
            model_type=variant.kind,
            backend="fsdp2",
            model_config=model,
            engine_config=FSDPEngineConfig(
                strategy="fsdp2",
                mixed_precision={"param_dtype": "fp32", "reduce_dtype": "fp32", "buffer_dtype": "fp32"},
                use_torch_compile=False,
                **variant.engine,
            ),
            optimizer_config=FSDPOptimizerConfig(lr=LEARNING_RATE, total_training_steps=1),
            checkpoint_config=CheckpointConfig(),
        )
        self.engine.initialize()
        ranks, rank = self.engine.get_data_parallel_size(), self.engine.get_data_parallel_rank()
        self.numbers = range(rank, len(LENGTHS), ranks)

    def data(self) -> Any:
        """This rank's share of the texts."""
        share = [texts()[number] for number in self.numbers]
        tensors = {
            "input_ids": share,
            "position_ids": [torch.arange(len(text)) for text in share],
            "loss_mask": [response_mask(number) for number in self.numbers],
        }
        settings = {
            "temperature": 1.0,
            "use_remove_padding": self.variant.packed,
            "use_fused_kernels": bool(self.variant.settings.get("use_fused_kernels")),
            "use_dynamic_bsz": True,
            "max_token_len_per_gpu": MOST_TOKENS,
        }
        nested = {
            name: torch.nested.as_nested_tensor(values, layout=torch.jagged)
            for name, values in tensors.items()
        }
        return get_tensordict(nested, settings)

    def of_tokens(self, model_output: dict[str, torch.Tensor]) -> torch.Tensor:
        """The log-probabilities, or the values."""
        return model_output["values" if self.variant.kind == "value_model" else "log_probs"]

    def outputs(self, adapter: bool = True) -> Outputs:
        """Those of all ranks."""
        with self.engine.eval_mode(), nullcontext() if adapter else self.engine.disable_adapter():
            result = self.engine.infer_batch(self.data())
        own = {
            number: tensor[response_mask(number).bool()]
            for number, tensor in zip(
                self.numbers, self.of_tokens(result["model_output"]).unbind(), strict=True
            )
        }
        gathered: list[Any] = [None] * self.variant.ranks
        all_gather_object(gathered, own)
        return {number: tensor for outputs in gathered for number, tensor in outputs.items()}

    def update(self) -> float:
        """One step of training; returns the length of the gradient."""

        def mean_loss(model_output: dict[str, torch.Tensor], data: Any, dp_group: Any) -> Any:
            every = loss(self.of_tokens(model_output).values(), self.variant.kind == "value_model")
            # The ranks' gradients are averaged, and the mean is over the tokens of all of them.
            share = data["dp_size"] / data["batch_num_tokens"]
            return (every * data["loss_mask"].values()).sum() * share, {}

        with self.engine.train_mode():
            metrics = self.engine.train_batch(self.data(), mean_loss)["metrics"]
        return float(metrics.get("grad_norm", math.nan))  # with Ulysses only the first rank has it


def difference(some: Outputs, others: Outputs) -> float:
    """The largest of all tokens."""
    assert sorted(some) == sorted(others) == list(range(len(LENGTHS)))
    return max(float((some[number] - others[number]).abs().max()) for number in some)


def run_rank(rank: int, variant: Variant, folder: Path, name: str) -> None:
    """One process of a variant; the first writes what came of it."""
    plain = Plain(variant.model, folder)  # before verl patches anything
    truth = plain.outputs()
    gradient = plain.update()
    truth_after = plain.outputs()

    init_process_group(
        "cpu:gloo",
        init_method=f"file://{folder / name}.store",
        rank=rank,
        world_size=variant.ranks,
        timeout=timedelta(seconds=LONGEST_WAIT_S),
    )
    engine = Engine(variant, folder)
    before = engine.outputs()
    relative_gradient = engine.update() / gradient
    after = engine.outputs()
    figures = {
        "before": difference(before, truth),
        "after": difference(after, truth_after),
        "moved": difference(after, before),
        "gradient": abs(relative_gradient - 1),
    }
    if variant.settings.get("lora_rank"):
        figures["adapter off"] = difference(engine.outputs(adapter=False), truth)
    destroy_process_group()
    if rank == 0:
        (folder / f"{name}.json").write_text(json.dumps(figures))


def main() -> None:
    folder = Path(sys.argv[1])
    make_models(folder)
    # Imports the configurations of all of transformers: here once, and not in every process.
    get_hf_auto_model_class(transformers.AutoConfig.from_pretrained(folder / "qwen2"))
    results = {}
    for name, variant in VARIANTS.items():
        try:
            start_processes(run_rank, (variant, folder, name), variant.ranks, start_method="fork")
            results[name] = json.loads((folder / f"{name}.json").read_text())
        except ProcessRaisedException as error:
            results[name] = {"error": str(error)}
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
