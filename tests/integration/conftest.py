"""Fixtures of the tests that import verl."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder that passes for a checkpoint, with a real tokenizer of one token a word."""
    import numpy
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "<end>": 1}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<end>")
    fast.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    folder = tmp_path / "model"
    fast.save_pretrained(folder)
    # Not a Qwen2: for that type transformers takes Qwen's own tokenizer, whatever the folder says.
    config = {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "vocab_size": 2}
    config |= {"hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
    (folder / "config.json").write_text(json.dumps(config))
    save_file({"lm_head.weight": numpy.zeros((2, 4))}, folder / "model.safetensors")
    return folder
