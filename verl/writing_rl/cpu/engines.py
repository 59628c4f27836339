"""verl's FSDP engines under the device `cpu` (verl 0.9.1 registers them for `cuda` and `npu` only).

FSDP2 itself runs on a CPU mesh, so the engines are taken as they are, but for pinned memory.
"""

from __future__ import annotations

from verl.utils.fsdp_utils import CPUOffloadPolicy
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp import transformer_impl
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead, FSDPEngineWithValueHead

from writing_rl.patches.expect import expect

# FSDP1 refuses a CPU; `strategy: fsdp2` is part of the CPU profile.
EngineRegistry.register(model_type="language_model", backend=["fsdp2"], device="cpu")(FSDPEngineWithLMHead)
EngineRegistry.register(model_type="value_model", backend=["fsdp2"], device="cpu")(FSDPEngineWithValueHead)

# The reference model's weights lie in main memory, which verl pins for a GPU; without one torch refuses to.
expect(
    FSDPEngineWithLMHead._build_fsdp_module,
    contains="offload_policy = CPUOffloadPolicy(pin_memory=True)",
    distribution="verl",
    written_for="0.9.1",
)


def _unpinned(pin_memory: bool) -> CPUOffloadPolicy:
    return CPUOffloadPolicy(pin_memory=False)


transformer_impl.CPUOffloadPolicy = _unpinned
