"""verl's FSDP engines under the device `cpu` (verl 0.9.1 registers them for `cuda` and `npu` only).

FSDP2 itself runs on a CPU mesh, so the engines are taken as they are.
"""

from __future__ import annotations

from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead, FSDPEngineWithValueHead

# FSDP1 refuses a CPU; `strategy: fsdp2` is part of the CPU profile.
EngineRegistry.register(model_type="language_model", backend=["fsdp2"], device="cpu")(FSDPEngineWithLMHead)
EngineRegistry.register(model_type="value_model", backend=["fsdp2"], device="cpu")(FSDPEngineWithValueHead)
