"""How much memory a training has in use right now, over all its processes."""

from __future__ import annotations

import contextlib
import subprocess
import time

import psutil

from writing_rl.runlog.phase_log import Sample
from writing_rl.util.console import say
from writing_rl.util.gpus import Gpu

#: Seconds that `nvidia-smi` may take before a look goes without it.
TIMEOUT_S = 10.0


class MemoryWatch:
    """Looks at a process with all its descendants, and at some GPUs.

    Attributes:
        samples: What was seen.
    """

    def __init__(self, gpus: list[Gpu]) -> None:
        self.samples: list[Sample] = []
        self._gpus = {gpu.uuid: number for number, gpu in enumerate(gpus)}
        self._failed = False

    def look(self, pid: int) -> None:
        """Takes a sample of the process and its descendants."""
        self.samples.append(Sample(time.time(), proportional_set(pid), self._used()))

    def _used(self) -> tuple[int, ...]:
        if not self._gpus:
            return ()
        command = ["nvidia-smi", "--query-gpu=uuid,memory.used", "--format=csv,noheader,nounits"]
        used = [0] * len(self._gpus)
        try:
            table = subprocess.run(
                command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
            ).stdout
            for line in table.splitlines():
                uuid, _, mib = line.partition(",")
                if uuid.strip() in self._gpus:
                    used[self._gpus[uuid.strip()]] = int(mib) << 20
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            if not self._failed:
                say(f"[writing-rl] GPU memory could not be measured at times: {error}")
            self._failed = True
        return tuple(used)


def proportional_set(pid: int) -> int:
    """Bytes of main memory of a process and its descendants, in which each shared page counts once."""
    total = 0
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += process.memory_full_info().pss
    return total
