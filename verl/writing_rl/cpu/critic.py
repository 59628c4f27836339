"""Patch of verl 0.9.1: loading a critic without flash-attn.

`load_valuehead_model` asks transformers for `flash_attention_2` by name whatever the configuration says,
and turns the failure into a request for trl. PyTorch's own attention computes the same.
"""

from __future__ import annotations

from typing import Any

import torch
import verl.utils.model as verl_model

from writing_rl.compat import expect

expect(
    verl_model.load_valuehead_model,
    contains='attn_implementation="flash_attention_2"',
    distribution="verl",
    written_for="0.9.1",
)


def load_valuehead_model(
    local_path: str, torch_dtype: torch.dtype, model_config: Any, trust_remote_code: bool
) -> torch.nn.Module:
    """Loads a critic: the model with one value per token, with PyTorch's attention."""
    from transformers import AutoModelForTokenClassification

    return AutoModelForTokenClassification.from_pretrained(
        local_path,
        dtype=torch_dtype,
        config=model_config,
        attn_implementation="sdpa",
        trust_remote_code=trust_remote_code,
    )


verl_model.load_valuehead_model = load_valuehead_model
