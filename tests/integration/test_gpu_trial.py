from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import psutil
import pytest

from writing_rl.errors import SetupError
from writing_rl.launch import gpu_trial
from writing_rl.launch.attention import Kernel
from writing_rl.launch.gpu_trial import check_trial, explain, run_trial
from writing_rl.util.gpus import Gpu

CARD = Gpu(3, "GPU-1", "NVIDIA H100", 81559, 81000, "580.65.06", (9, 0))
OLD_DRIVER = Gpu(3, "GPU-1", "NVIDIA H100", 81559, 81000, "550.54", (9, 0))


#: Stands for the compiled kernel: what one rank does when it loads it, rank 1.
KERNEL = """
import os, sys, time
if sys.argv[1] == "1":
    {}
"""


def ranks_alive() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if gpu_trial.__name__ in process.cmdline():
                found.append(process)
    return found


def test_two_ranks_add_up_a_number() -> None:
    assert run_trial(2, "cpu", "sdpa") == {}


def test_a_rank_that_fails_is_named_with_its_reason_and_no_process_stays() -> None:
    (said,) = run_trial(1, "cpu", "flash-attn").values()
    assert said == "ModuleNotFoundError: No module named 'flash_attn_2_cuda'"
    assert not ranks_alive()


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("raise RuntimeError('first\\nsecond')", "RuntimeError: first"),
        ("os._exit(3)", "its process ended with 3"),
        ("os.abort()", "its process ended with -6"),
    ],
)
def test_of_two_ranks_the_one_that_fails_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, said: str
) -> None:
    (tmp_path / "flash_attn_2_cuda.py").write_text(KERNEL.format(does))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert run_trial(2, "cpu", "flash-attn") == {1: said}
    assert not ranks_alive()


def test_ranks_that_hang_are_ended() -> None:
    # Nobody can answer before torch is imported.
    assert run_trial(2, "cpu", "sdpa", timeout_s=0.01) == dict.fromkeys(
        (0, 1), "it has not answered within 0 s"
    )
    assert not ranks_alive()


@pytest.mark.parametrize(
    ("ready", "said"),
    [
        ([], dict.fromkeys((0, 1), "it has not answered within 0 s")),
        ([0], {1: "it has not answered within 0 s"}),
        ([0, 1], dict.fromkeys((0, 1), "it has not added up a number with the others within 0 s")),
    ],
)
def test_of_ranks_that_hang_those_that_wait_for_others_are_not_named(
    tmp_path: Path, ready: list[int], said: dict[int, str]
) -> None:
    for rank in ready:
        (tmp_path / f"{rank}.ready").touch()
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(subprocess.Popen(["sleep", "600"])) for _ in range(2)]
        for process in processes:
            stack.callback(process.kill)
        assert gpu_trial._wait(processes, tmp_path, timeout_s=0.0) == said


def test_a_failure_names_the_gpu_and_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_trial, "run_trial", lambda *_: {0: "OutOfMemoryError: CUDA out of memory"})
    with pytest.raises(SetupError) as error:
        check_trial([CARD], Kernel.SDPA)
    assert str(error.value).startswith("GPU 3 (NVIDIA H100) cannot be used: OutOfMemoryError: ")
    assert "CUDA_VISIBLE_DEVICES" in str(error.value)


@pytest.mark.parametrize(
    ("said", "gpu", "remedy"),
    [
        ("The NVIDIA driver on your system is too old", OLD_DRIVER, "580 or newer"),
        ("CUDA out of memory", CARD, "another process"),
        ("CUDA-capable device(s) is/are busy or unavailable", CARD, "another process"),
        ("No module named 'flash_attn_2_cuda'", CARD, "FLASH_ATTN=sdpa"),
        ("undefined symbol: _ZN3c10", CARD, "FLASH_ATTN=sdpa"),
        ("NCCL error: unhandled system error", CARD, "/dev/shm"),
        ("it has not added up a number with the others within 180 s", CARD, "/dev/shm"),
        ("it has not answered within 180 s", CARD, "dmesg"),
        ("LocalEntryNotFoundError: Got: ConnectError", CARD, "HF_ENDPOINT"),
        ("CUDA out of memory", OLD_DRIVER, "another process"),
        ("NCCL error: unhandled system error", OLD_DRIVER, "580 or newer"),
        ("Torch not compiled with CUDA enabled", CARD, "PROFILE=gpu bash scripts/setup_env.sh"),
        ("something else", CARD, "580.65.06"),
    ],
)
def test_the_likely_remedy_follows_from_what_was_said(said: str, gpu: Gpu, remedy: str) -> None:
    assert remedy in explain(said, [gpu])
