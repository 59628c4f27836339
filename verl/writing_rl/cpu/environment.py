"""The environment of a run on the CPU; the driver sets it and every process of the run inherits it."""

from __future__ import annotations

import os

VARIABLES = {
    "VERL_PLATFORM": "cpu",
    # vLLM would keep one core for itself and bind its only worker to one of the others.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    # The phases of a step come one after the other, so each may use every core.
    "OMP_NUM_THREADS": str(os.cpu_count() or 1),
}


def prepare() -> None:
    """Sets what is not set yet. Call it before anything imports verl or torch."""
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
