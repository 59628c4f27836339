"""The attention kernel of the GPU environment: what is installed, what it costs, whether it loads.

`scripts/setup_env.sh` installs one of three (FLASH_ATTN). Which one it was can be read from the environment
itself, so nothing has to be configured: the profiles ask `implementation`.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from enum import Enum
from importlib.metadata import PackageNotFoundError, version

from writing_rl.util.console import say

#: The kernel that transformers 5.9 takes for `flash_attention_2` where flash-attn is not installed
#: (`transformers/modeling_flash_attention_utils.py`).
HUB_KERNEL = "kernels-community/flash-attn2"
#: The version that verl 0.9.1 was made for (its extra `flash-attn-cu130torch211`).
FLASH_ATTN_VERSION = "2.8.3"
#: The versions of kernels that transformers 5.9 accepts; it refuses others when a model is loaded.
KERNELS_VERSIONS = ">=0.12,<0.13"


class Kernel(str, Enum):
    """A way to compute attention; the value is the name of the distribution that brings it, or `sdpa`."""

    FLASH_ATTN = "flash-attn"
    HUB = "kernels"
    SDPA = "sdpa"


#: What each means to a user, in a line.
COST = {
    Kernel.FLASH_ATTN: "flash-attn {version}: nothing is lost",
    Kernel.HUB: "flash-attn as a kernel of the model hub ({name}), by kernels {version}: as fast; the hub "
    "must be reachable once from each machine",
    Kernel.SDPA: "PyTorch's sdpa, since no flash-attn is installed: a mask of T x T for T tokens of a batch "
    "(0.3 GiB at 16,500 tokens, 1 GiB at 32,768), slower with long texts, and no Ulysses",
}


def installed() -> Kernel:
    """The best kernel that is installed."""
    for kernel in (Kernel.FLASH_ATTN, Kernel.HUB):
        try:
            version(kernel.value)
        except PackageNotFoundError:
            continue
        return kernel
    return Kernel.SDPA


def implementation() -> str:
    """What transformers calls it: the value of `attn_implementation`."""
    return "sdpa" if installed() is Kernel.SDPA else "flash_attention_2"


def describe() -> str:
    """The installed kernel and what it costs, in a line."""
    kernel = installed()
    number = "" if kernel is Kernel.SDPA else version(kernel.value)
    return f"attention: {COST[kernel].format(version=number, name=HUB_KERNEL)}"


def load(kernel: Kernel) -> None:
    """Loads the compiled kernel, which fails where it was built for another torch, Python or CUDA.

    Raises:
        ImportError: It cannot be loaded.
        Exception: The model hub does not give it.
    """
    importlib.import_module("torch")  # the kernels link to its libraries
    if kernel is Kernel.FLASH_ATTN:
        importlib.import_module("flash_attn_2_cuda")
    elif kernel is Kernel.HUB:
        importlib.import_module("kernels").get_kernel(HUB_KERNEL)


def main() -> None:
    """Command line: prints `describe`, or tries one kernel and ends with 1 where it cannot be loaded."""
    parser = argparse.ArgumentParser(description="Says which attention kernel is installed, or tries one.")
    parser.add_argument("--try", dest="kernel", type=Kernel, help="flash-attn, kernels or sdpa")
    kernel = parser.parse_args().kernel
    if kernel is None:
        say(describe())
        return
    try:
        load(kernel)
    except Exception as error:
        sys.exit(f"{kernel.value} cannot be loaded: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
