"""A trial of some seconds on every GPU: memory is allocated, bfloat16 multiplied, all GPUs add up one number.

What works here works in a run, whatever versions say: a driver too old, a GPU that another process holds, a
broken link between GPUs all show in seconds instead of minutes, and before a model is loaded. It runs in
processes of its own, so nothing of it stays on a GPU.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from writing_rl.errors import SetupError
from writing_rl.launch import attention
from writing_rl.util.gpus import LEAST_DRIVER, Gpu

#: Seconds: a cold import of torch from a network disk, and the first CUDA context of eight GPUs.
TIMEOUT_S = 180.0
#: What a rank says nothing to, and what all say nothing to.
NO_ANSWER, NO_SUM = "it has not answered", "it has not added up a number with the others"


def check_trial(gpus: Sequence[Gpu], kernel: attention.Kernel) -> None:
    """Runs the trial on all visible GPUs.

    Args:
        gpus: The visible GPUs, for explaining a failure.
        kernel: The attention kernel, which is loaded and used.

    Raises:
        SetupError: It failed; the message names the GPU, the reason and the likely remedy.
    """
    failures = run_trial(len(gpus), "cuda", kernel.value)
    if failures:
        rank, said = next(iter(failures.items()))
        which = f"GPU {gpus[rank].index} ({gpus[rank].name})" if rank < len(gpus) else "the trial"
        raise SetupError(f"{which} cannot be used: {said}: {explain(said, gpus)}")


def run_trial(ranks: int, device: str, kernel: str, timeout_s: float = TIMEOUT_S) -> dict[int, str]:
    """Runs the trial in a process for each rank.

    Args:
        ranks: How many.
        device: `cuda`, or `cpu` for trying the trial itself.
        kernel: `flash-attn`, `kernels` or `sdpa`.
        timeout_s: Seconds after which a rank counts as hanging.

    Returns:
        What each rank that failed said of it.
    """
    with tempfile.TemporaryDirectory(prefix="writing-rl-trial-") as folder:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", __name__, str(rank), str(ranks), device, kernel, folder],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            for rank in range(ranks)
        ]
        try:
            return _wait(processes, Path(folder), timeout_s)
        finally:
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait(processes: list[subprocess.Popen[bytes]], folder: Path, timeout_s: float) -> dict[int, str]:
    """Waits until all have ended or one has failed, which leaves the others waiting for it."""
    given_up = time.monotonic() + timeout_s
    while True:
        running = [rank for rank, process in enumerate(processes) if process.poll() is None]
        failed = {
            rank: _said(folder, rank, process.returncode)
            for rank, process in enumerate(processes)
            if process.returncode
        }
        if failed or not running:
            return failed
        if time.monotonic() > given_up:
            # Those that are ready only wait for the others.
            silent = [rank for rank in running if not (folder / f"{rank}.ready").exists()]
            return dict.fromkeys(
                silent or running, f"{NO_ANSWER if silent else NO_SUM} within {timeout_s:.0f} s"
            )
        time.sleep(0.05)


def _said(folder: Path, rank: int, code: int) -> str:
    try:
        return str(json.loads((folder / f"{rank}.json").read_text())["failed"])
    except (OSError, ValueError, KeyError):
        return f"its process ended with {code}"


def explain(said: str, gpus: Sequence[Gpu]) -> str:
    """The likely remedy for what a rank said."""
    driver = gpus[0].driver if gpus else ""
    major = driver.partition(".")[0]
    lower = said.lower()
    if "out of memory" in lower:
        return (
            "another process holds its memory: see nvidia-smi, or choose other GPUs in CUDA_VISIBLE_DEVICES"
        )
    if "busy or unavailable" in lower or "exclusive" in lower:
        return "another process holds it: see nvidia-smi"
    if "flash_attn" in lower or "undefined symbol" in lower:
        return "the kernel does not fit torch: run FLASH_ATTN=sdpa PROFILE=gpu bash scripts/setup_env.sh"
    if "not compiled with cuda" in lower:
        return "torch is a build for the CPU: run PROFILE=gpu bash scripts/setup_env.sh"
    if "localentrynotfound" in lower or "connecterror" in lower or "offlinemode" in lower:
        return (
            "the attention kernel comes from the model hub, once: see HF_HUB_OFFLINE and HF_ENDPOINT, or run "
            "FLASH_ATTN=sdpa PROFILE=gpu bash scripts/setup_env.sh"
        )
    if major.isdigit() and int(major) < LEAST_DRIVER:
        return f"the driver is {driver}, PyTorch for CUDA 13 needs {LEAST_DRIVER} or newer: update it"
    if "nccl" in lower or NO_SUM in said:
        return "GPUs do not reach each other: try NCCL_P2P_DISABLE=1, and a larger /dev/shm in a container"
    return f"see nvidia-smi and the driver's log (dmesg); the driver is {driver or 'unknown'}"


def _try(rank: int, ranks: int, device: str, kernel: str, folder: Path) -> None:
    from datetime import timedelta

    import torch
    import torch.distributed as dist

    place = torch.device(device, rank) if device == "cuda" else torch.device("cpu")
    if device == "cuda":
        torch.cuda.set_device(place)
    matrix = torch.ones((256, 256), dtype=torch.bfloat16, device=place)
    if float((matrix @ matrix)[0, 0]) != 256.0:
        raise RuntimeError("bfloat16 multiplies wrongly")
    attention.load(attention.Kernel(kernel))
    (folder / f"{rank}.ready").touch()
    backend = "nccl" if device == "cuda" else "gloo"
    dist.init_process_group(
        backend,
        init_method=f"file://{folder / 'store'}",  # a port could be taken by another before it is used
        rank=rank,
        world_size=ranks,
        timeout=timedelta(seconds=60),
    )
    number = torch.ones(1 << 20, device=place)
    dist.all_reduce(number)
    if float(number[0]) != ranks:
        raise RuntimeError(f"{ranks} GPUs add up ones to {float(number[0])}")
    dist.destroy_process_group()


def main() -> None:
    """One rank: what failed, if anything, goes to a file of the given folder."""
    parser = argparse.ArgumentParser(description="One rank of the GPU trial.")
    parser.add_argument("rank", type=int)
    parser.add_argument("ranks", type=int)
    parser.add_argument("device")
    parser.add_argument("kernel")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    try:
        _try(arguments.rank, arguments.ranks, arguments.device, arguments.kernel, arguments.folder)
    except Exception as error:
        first = next((line for line in str(error).splitlines() if line.strip()), "")
        report: Mapping[str, Any] = {"failed": f"{type(error).__name__}: {first}"[:300]}
        (arguments.folder / f"{arguments.rank}.json").write_text(json.dumps(report))
        sys.exit(1)


if __name__ == "__main__":
    main()
