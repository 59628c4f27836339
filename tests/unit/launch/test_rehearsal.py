from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from writing_rl.launch.forecast import Measured, Plan, Rehearsed, forecast
from writing_rl.launch.memory_watch import MemoryWatch, proportional_set
from writing_rl.launch.rehearsal import Rehearsal, as_json, checkpoint_bytes, report
from writing_rl.runlog.phase_log import Peak
from writing_rl.util.gpus import Gpu

PLAN = Plan(
    steps=405,
    texts=32,
    test_texts=64,
    validations=10,
    saves=9,
    kept=2,
    save_freq=50,
    requests=1,
    parallel=64,
    full_tokens=10_000,
    reference_tokens=2_500.0,
)


def step(tokens: float, seconds: float) -> Measured:
    return Measured(tokens, {"rollout": seconds / 2, "update": seconds / 2, "save": 30.0, "step": seconds})


@pytest.fixture
def rehearsal() -> Rehearsal:
    steps = Rehearsed(step(10_000, 400.0), step(2_000, 130.0), step(2_000, 100.0), start_s=300.0)
    peaks = {"rollout": Peak(90 * 10**9, 50 * 10**9), "update": Peak(220 * 10**9, 61 * 10**9)}
    ends = [forecast(PLAN, steps, tokens, None) for tokens in (10_000, 2_500)]
    return Rehearsal(PLAN, steps, peaks, peaks, 183 * 10**9, ends[0], ends[1])


def test_the_report_holds_memory_times_and_forecasts(rehearsal: Rehearsal) -> None:
    lines = [" ".join(line.split()) for line in report(rehearsal).splitlines()]
    assert "update 200.0 50.0 61.0 61.0 220.0 220.0" in lines
    assert any(line.startswith("judge calls 13,600 13,600") for line in lines)
    assert any(line.startswith("a crash costs at most (50 steps) ") for line in lines)
    assert lines[-1].startswith("A checkpoint takes 183,000,000,000 bytes (183.00 GB); 9 are written, 2 lie ")


def test_programs_read_the_same_from_json(rehearsal: Rehearsal) -> None:
    content = json.loads(as_json(rehearsal))
    assert content["plan"]["calls"] == 13_600
    assert content["at_full"]["hours"] > content["at_references"]["hours"] > 0


def test_a_checkpoint_is_the_files_of_its_models(tmp_path: Path) -> None:
    for place, size in {
        "actor/a.pt": 5,
        "actor/extra_state_rank_0.pt": 50,
        "actor/huggingface/b.json": 7,
        "critic/c.pt": 11,
        "data.pt": 100,
    }.items():
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    assert checkpoint_bytes(tmp_path) == 23


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
