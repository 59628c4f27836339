"""Which GPUs a process may use: a stand-in for `nvidia-smi`, and `CUDA_VISIBLE_DEVICES`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from writing_rl.errors import SetupError
from writing_rl.util import gpus
from writing_rl.util.gpus import installed_gpus, parse, visible_gpus

TABLE = """\
0, GPU-aa11, NVIDIA H100 80GB HBM3, 81559, 81000, 580.65.06, 9.0
1, GPU-aa22, NVIDIA H100 80GB HBM3, 81559, 12000, 580.65.06, 9.0
2, GPU-bb33, Tesla T4, 15360, 15000, 580.65.06, 7.5
"""
THREE = parse(TABLE)


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts an `nvidia-smi` on the path, which is the shell script that it is given."""
    monkeypatch.delenv(gpus.VISIBLE, raising=False)

    def install(script: str) -> None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return install


def print_table(table: str) -> str:
    return f"cat <<'END'\n{table}END"


def test_the_table_is_asked_for_field_by_field(nvidia_smi: Callable[[str], None], tmp_path: Path) -> None:
    nvidia_smi(f'echo "$@" > {tmp_path}/asked\n{print_table(TABLE)}')
    assert installed_gpus() == THREE
    assert (tmp_path / "asked").read_text().split() == [
        "--query-gpu=index,uuid,name,memory.total,memory.free,driver_version,compute_cap",
        "--format=csv,noheader,nounits",
    ]


def test_a_driver_without_devices_is_no_failure(nvidia_smi: Callable[[str], None]) -> None:
    nvidia_smi("echo 'No devices were found'; exit 6")
    assert visible_gpus({}) == []


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'Failed to initialize NVML:'; echo 'Driver mismatch' >&2; exit 18", "NVML: Driver mismatch"),
        ("exit 9", "exit code 9"),
        ("yes | head -c 9999; exit 1", "y y y"),
    ],
)
def test_its_failure_is_a_line_with_its_own_words(
    nvidia_smi: Callable[[str], None], script: str, said: str
) -> None:
    nvidia_smi(script)
    with pytest.raises(SetupError, match="install or reload the NVIDIA driver") as error:
        visible_gpus({})
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_a_file_that_cannot_be_run_is_said(nvidia_smi: Callable[[str], None], tmp_path: Path) -> None:
    nvidia_smi("")
    (tmp_path / "nvidia-smi").write_text("#!/no/such/interpreter\n")
    with pytest.raises(SetupError, match="nvidia-smi cannot be run: No such file"):
        visible_gpus({})


def test_one_that_hangs_is_ended_with_its_children(
    nvidia_smi: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "alive")
    nvidia_smi(f"sleep 600 > {tmp_path}/alive & wait")
    reader = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    monkeypatch.setattr(gpus, "TIMEOUT_S", 1.0)
    with pytest.raises(SetupError, match="has not answered within 1 s: a GPU or its driver hangs"):
        visible_gpus({})
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""  # nobody holds the other end any more
    os.close(reader)


def test_what_is_visible_follows_the_environment(nvidia_smi: Callable[[str], None]) -> None:
    nvidia_smi(print_table(TABLE))
    assert visible_gpus({}) == THREE
    assert visible_gpus({gpus.VISIBLE: "2"}) == [THREE[2]]


def test_the_environment_is_read_where_it_is_now(
    nvidia_smi: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(print_table(TABLE))
    monkeypatch.setattr(os, "environ", os.environ | {gpus.VISIBLE: "2"})  # as `datasets` leaves a copy there
    assert visible_gpus() == [THREE[2]]
