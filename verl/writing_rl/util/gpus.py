"""The GPUs that this process may use, as `nvidia-smi` and `CUDA_VISIBLE_DEVICES` describe them.

Needs neither torch nor a CUDA context, so it can be asked before anything expensive starts.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from writing_rl.errors import SetupError

#: The fields asked of `nvidia-smi --query-gpu`, in the order of `Gpu`.
FIELDS = ("index", "uuid", "name", "memory.total", "memory.free", "driver_version", "compute_cap")
#: Seconds; a healthy `nvidia-smi` answers within a few, also on eight GPUs without persistence mode.
TIMEOUT_S = 60.0
VISIBLE = "CUDA_VISIBLE_DEVICES"
#: What ends the list in that variable: CUDA looks at nothing behind it.
NO_MORE = ("", "-1", "NoDevFiles")
#: The first compute capability with bfloat16 (Ampere).
BF16 = (8, 0)
#: The driver that PyTorch's builds for CUDA 13 ask for.
LEAST_DRIVER = 580


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        index: Its number in `nvidia-smi`.
        uuid: Its lasting name, `GPU-...`.
        name: The product's name.
        total_mib: Its memory in MiB.
        free_mib: What nobody uses of it now, in MiB.
        driver: The driver's version.
        compute_capability: For example (8, 0) for an A100; (0, 0) where an old driver does not tell.
    """

    index: int
    uuid: str
    name: str
    total_mib: int
    free_mib: int
    driver: str
    compute_capability: tuple[int, int]


def visible_gpus(environment: Mapping[str, str] | None = None) -> list[Gpu]:
    """The GPUs that CUDA would show to this process, in its order; none where there is no `nvidia-smi`.

    Args:
        environment: Where `CUDA_VISIBLE_DEVICES` is read; None for this process's own. It is not bound as a
            default: `datasets` replaces `os.environ` by a copy when it maps with several processes.

    Raises:
        SetupError: `nvidia-smi` fails, or the variable names a GPU that is not there.
    """
    if shutil.which("nvidia-smi") is None:
        return []
    return select(installed_gpus(), (os.environ if environment is None else environment).get(VISIBLE))


def installed_gpus() -> list[Gpu]:
    """All GPUs of this machine, in the order of `nvidia-smi`.

    Raises:
        SetupError: `nvidia-smi` fails; the message holds its own words.
    """
    command = ["nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise SetupError(f"nvidia-smi cannot be run: {error.strerror}") from None
    try:
        table, complaint = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        # It is not waited for: one that hangs in the driver does not even die.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise SetupError(
            f"nvidia-smi has not answered within {TIMEOUT_S:.0f} s: a GPU or its driver hangs; see `dmesg`, "
            "and restart the machine"
        ) from None
    if process.returncode != 0:
        said = " ".join((table + complaint).split()) or f"exit code {process.returncode}"
        if "No devices were found" in said:
            return []
        raise SetupError(
            f"nvidia-smi fails ({said[:200]}): install or reload the NVIDIA driver ({LEAST_DRIVER} or newer)"
        )
    return parse(table)


def parse(table: str) -> list[Gpu]:
    """Reads the table that `nvidia-smi` prints for `FIELDS`.

    Raises:
        SetupError: A line is not what was asked for.
    """
    gpus = []
    for line in table.splitlines():
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split(",")]
        try:
            index, uuid, name, total, free, driver, capability = cells
            gpus.append(Gpu(int(index), uuid, name, int(total), int(free), driver, _capability(capability)))
        except ValueError:
            raise SetupError(f"nvidia-smi answers {line[:120]!r}, which names no GPU as expected") from None
    return gpus


def select(gpus: list[Gpu], visible: str | None) -> list[Gpu]:
    """Applies `CUDA_VISIBLE_DEVICES`.

    Args:
        gpus: All GPUs of the machine.
        visible: The variable's value; None where it is not set.

    Raises:
        SetupError: It names a GPU that is not there, or a slice of one.
    """
    if visible is None:
        return gpus
    chosen: list[Gpu] = []
    for name in (part.strip() for part in visible.split(",")):
        if name in NO_MORE:
            break
        if name.startswith("MIG"):
            raise SetupError(f"{VISIBLE} names {name}, a slice of a GPU: name whole GPUs")
        found = [
            gpu
            for gpu in gpus
            if name == str(gpu.index) or (name.startswith("GPU-") and gpu.uuid.startswith(name))
        ]
        if len(found) != 1:
            there = ", ".join(str(gpu.index) for gpu in gpus) or "none"
            raise SetupError(
                f"{VISIBLE} is {visible}, but {name} is not a GPU of this machine (there: {there})"
            )
        if found[0] in chosen:  # CUDA would then show none at all
            raise SetupError(f"{VISIBLE} is {visible}, which names GPU {found[0].index} twice")
        chosen += found
    return chosen


def describe(gpus: list[Gpu]) -> str:
    """For example `8 x NVIDIA A100-SXM4-80GB`."""
    names = [gpu.name for gpu in gpus]
    return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names)) or "no GPU"


def _capability(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)
