"""Patch of verl 0.9.1: a critic is computed with the attention that its configuration names.

`load_valuehead_model` asks transformers for `flash_attention_2` by name, whatever
`critic.model.override_config.attn_implementation` says, and turns the failure where flash-attn is missing
into a request for trl. Where flash-attn is asked for, verl's own function goes on doing what it does.
"""

from __future__ import annotations

from typing import Any

from writing_rl.patches.expect import expect

FLASH = "flash_attention_2"


def patch_model(module: Any) -> None:
    """Replaces the function in `verl.utils.model`.

    Raises:
        SetupError: The installed verl no longer looks like the one this was written for.
    """
    original = module.load_valuehead_model
    expect(original, contains=f'attn_implementation="{FLASH}"', distribution="verl", written_for="0.9.1")

    def load_valuehead_model(
        local_path: str, torch_dtype: Any, model_config: Any, trust_remote_code: bool
    ) -> Any:
        # verl has put the setting there (`workers/config/model.py`).
        chosen = getattr(model_config, "_attn_implementation", None) or FLASH
        if chosen == FLASH:
            return original(local_path, torch_dtype, model_config, trust_remote_code)
        from transformers import AutoModelForTokenClassification

        return AutoModelForTokenClassification.from_pretrained(
            local_path,
            dtype=torch_dtype,
            config=model_config,
            attn_implementation=chosen,
            trust_remote_code=trust_remote_code,
        )

    module.load_valuehead_model = load_valuehead_model
