"""A model of some random weights for trying a profile: it writes nonsense, in every shape that a run has."""

from pathlib import Path

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from writing_rl.quickstart.base_model import MAX_POSITIONS, save_checkpoint, train_tokenizer
from writing_rl.quickstart.dataset import Quickstart

#: Four heads of 32 can be shared by 2 or 4 GPUs, and 32 is the least width that vLLM's kernels take.
HEADS, HEAD_SIZE = 4, 32


def make_tiny_model(texts: Quickstart, folder: Path, seed: int = 0) -> None:
    """Makes the checkpoint; its output layer is not tied to its embeddings, as in models of 7 billion.

    Args:
        texts: What its tokenizer is made from.
        folder: Where it goes.
        seed: The seed of its weights.

    Raises:
        OSError: It cannot be written.
    """
    tokenizer = train_tokenizer(texts.corpus)
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=HEADS * HEAD_SIZE,
            intermediate_size=3 * HEADS * HEAD_SIZE,
            num_hidden_layers=2,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            max_position_embeddings=MAX_POSITIONS,
            tie_word_embeddings=False,
            # Large enough for clear preferences: with a flat distribution any weights would look right.
            initializer_range=0.2,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            dtype="float32",
        )
    )
    save_checkpoint(model, tokenizer, folder)
