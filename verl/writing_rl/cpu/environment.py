"""The environment of a run on the CPU; the driver sets it and every process of the run inherits it."""

from __future__ import annotations

import os

VARIABLES = {
    "VERL_PLATFORM": "cpu",
    # vLLM would keep one core for itself and bind its only worker to one of the others.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    # Small models gain nothing from a second thread, and threads that spin for each other lose a factor of
    # seven as soon as another process of the run wants their core. Set it higher for larger models.
    "OMP_NUM_THREADS": "1",
    # A third less CPU for handing a finished text over to be judged. Not set on GPUs: it takes tensors in
    # main memory only, and whether verl sends no others has not been tried there.
    "VERL_DATAPROTO_SERIALIZATION_METHOD": "numpy",
    # TransferQueue raises the number of threads to eight for every transfer, with a warning each time.
    "TQ_NUM_THREADS": "1",
}


def prepare() -> None:
    """Sets what is not set yet. Call it before anything imports verl or torch."""
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
