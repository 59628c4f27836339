"""What verl loads at the end of `import verl` (entry point group `verl.plugins`, verl 0.9.1).

verl imports this module in every process of a run. Registering means importing the registry and what it drags
in (2 to 7 s of CPU for verl's trainers), so each registration waits until verl itself imports that module.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import wrapt

#: Module whose import completes -> module of ours that then registers itself.
REGISTRATIONS = {
    "verl.experimental.reward_loop.reward_manager": "verl.workers.reward_manager.parallel",
    "verl.trainer.ppo.v1": "writing_rl.trainer.trainer",
    # It inherits from the other, which may itself be what has imported verl's.
    "writing_rl.trainer.trainer": "writing_rl.trainer.phases",
}

#: The same for running without a GPU, chosen by verl's own variable `VERL_PLATFORM=cpu`.
CPU_REGISTRATIONS = {
    "verl.plugin.platform": "writing_rl.cpu.platform",
    "verl.workers.engine": "writing_rl.cpu.engines",
    "verl.utils.distributed": "writing_rl.cpu.process_group",
}


#: verl module whose import completes -> module and function of ours that patch it.
PATCHES = {
    "verl.utils.model": ("writing_rl.patches.critic_attention", "patch_model"),
    "verl.workers.rollout.vllm_rollout.vllm_async_server": ("writing_rl.patches.weight_sync", "patch_server"),
    "verl.workers.rollout.vllm_rollout.vllm_rollout": ("writing_rl.patches.weight_sync", "patch_sender"),
}


def _patch_after(verl_module: str, ours: str, function: str) -> None:
    def on_import(module: ModuleType) -> None:
        getattr(importlib.import_module(ours), function)(module)

    wrapt.register_post_import_hook(on_import, verl_module)


def _import_after(verl_module: str, ours: str) -> None:
    def on_import(_: ModuleType) -> None:
        importlib.import_module(ours)

    wrapt.register_post_import_hook(on_import, verl_module)


def register() -> None:
    """Connects every registration above to the import of the verl module that it extends."""
    on_cpu = os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu"
    for verl_module, ours in {**REGISTRATIONS, **(CPU_REGISTRATIONS if on_cpu else {})}.items():
        _import_after(verl_module, ours)
    for verl_module, (ours, function) in PATCHES.items():
        _patch_after(verl_module, ours, function)


register()
