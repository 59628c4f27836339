from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from writing_rl.launch.memory_watch import MemoryWatch, proportional_set
from writing_rl.util.gpus import Gpu


def test_memory_of_all_descendants_counts() -> None:
    code = "import subprocess, sys; x = bytearray(50 << 20); print(flush=True); sys.stdin.read()"
    child = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {code!r}]); p.wait()"
    with subprocess.Popen(
        [sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the grandchild has its memory
        assert proportional_set(process.pid) > 50 << 20
        process.communicate()
    assert proportional_set(process.pid) == 0


def test_each_gpu_is_looked_at_by_its_lasting_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf 'GPU-b, 300\\nGPU-a, 100\\nGPU-c, 7\\n'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    gpus = [Gpu(n, f"GPU-{name}", "card", 1000, 1000, "580", (9, 0)) for n, name in enumerate("ab")]
    watch = MemoryWatch(gpus)
    watch.look(os.getpid())
    assert watch.samples[0].gpus == (100 << 20, 300 << 20)
    assert watch.samples[0].host > 0


def test_memory_that_cannot_be_measured_is_said_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nexit 9\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    watch = MemoryWatch([Gpu(0, "GPU-a", "card", 1000, 1000, "580", (9, 0))])
    for _ in range(2):
        watch.look(os.getpid())
    (said,) = capsys.readouterr().out.splitlines()
    assert said.startswith("[writing-rl] GPU memory could not be measured at times: ")
    assert "exit status 9" in said
