"""The platform `cpu` in verl's registry (verl 0.9.1, `verl/plugin/platform/platform_base.py`)."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import psutil
import torch
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry


class _CpuIndex(str):
    """The "index" of the CPU, for both ways in which verl uses a device index.

    verl hands it to `module.to(device=index)`, where only `"cpu"` works, and prints it into
    `f"{device_name}:{index}"`, where only a number works.
    """

    def __format__(self, spec: str) -> str:
        return format(0, spec)


class _CpuModule(ModuleType):
    """`torch.cpu`, with the parts of `torch.cuda` that verl asks of every device module."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.cpu, name)

    def get_device_name(self, device: object = None) -> str:
        return platform.processor() or platform.machine()

    # verl prints and logs these after every update; a CPU has no allocator of its own to ask.
    def memory_allocated(self, device: object = None) -> int:
        return psutil.Process().memory_info().rss

    memory_reserved = max_memory_allocated = max_memory_reserved = memory_allocated

    def mem_get_info(self, device: object = None) -> tuple[int, int]:
        memory = psutil.virtual_memory()
        return memory.available, memory.total

    def empty_cache(self) -> None:
        """Nothing is cached on a CPU."""

    def ipc_collect(self) -> None:
        """There are no device handles to collect on a CPU."""

    def set_device(self, device: object) -> None:
        """There is one CPU device."""

    # One generator serves the CPU and "the device": a checkpoint stores it under both names.
    def get_rng_state(self, device: object = None) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device: object = None) -> None:
        torch.set_rng_state(state)


@PlatformRegistry.register(platform="cpu")
class PlatformCPU(PlatformBase):
    """Trains on the CPU over gloo; chosen by `VERL_PLATFORM=cpu`.

    Ray has no resource for "a CPU that plays a GPU", so workers ask for the resource `GPU`, of which
    `ray_kwargs.ray_init.num_gpus` grants a logical number.
    """

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = _CpuModule("torch.cpu")

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        return False  # never detected, only asked for: a machine with a GPU must not land here

    def current_device(self) -> int:
        return _CpuIndex("cpu")  # type: ignore[return-value]

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None:
        """There is one CPU device."""

    def synchronize(self, device_index: int | None = None) -> None:
        """Operations on a CPU have finished when they return."""

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    def set_allocator_settings(self, settings: str) -> None:
        """A CPU has no allocator settings."""

    def empty_cache(self) -> None:
        """Nothing is cached on a CPU."""

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"  # what Ray sets for the resource `GPU`; it names the data-parallel rank

    def ray_resource_name(self) -> str:
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        return ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"]

    def is_ipc_supported(self) -> bool:
        return False  # weights go to vLLM through shared memory instead

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None:
        """There is no device profiler."""

    def profiler_stop(self) -> None:
        """There is no device profiler."""

    def cudart(self) -> None:
        return None
