"""Which GPUs a process may use: a stand-in for `nvidia-smi`, and `CUDA_VISIBLE_DEVICES`."""

from __future__ import annotations

from pathlib import Path

import pytest

from writing_rl.errors import SetupError
from writing_rl.util.gpus import Gpu, describe, parse, select, visible_gpus

TABLE = """\
0, GPU-aa11, NVIDIA H100 80GB HBM3, 81559, 81000, 580.65.06, 9.0
1, GPU-aa22, NVIDIA H100 80GB HBM3, 81559, 12000, 580.65.06, 9.0
2, GPU-bb33, Tesla T4, 15360, 15000, 580.65.06, 7.5
"""
THREE = parse(TABLE)


# What nvidia-smi says


def test_a_line_of_its_table_is_a_gpu() -> None:
    assert THREE[1] == Gpu(1, "GPU-aa22", "NVIDIA H100 80GB HBM3", 81559, 12000, "580.65.06", (9, 0))


@pytest.mark.parametrize("capability", ["[N/A]", "", "8"])
def test_a_compute_capability_that_is_not_told_is_none(capability: str) -> None:
    (gpu,) = parse(f"0, GPU-a, A100, 81920, 81000, 470.1, {capability}")
    assert gpu.compute_capability == (0, 0)


@pytest.mark.parametrize(
    "line", ["nonsense", "0, GPU-a, A100, [N/A], 81000, 580.1, 8.0", "0, GPU-a, A100, 81920, 580.1, 8.0"]
)
def test_a_line_that_is_no_gpu_is_quoted(line: str) -> None:
    with pytest.raises(SetupError, match="which names no GPU as expected") as error:
        parse(f"{TABLE}{line}\n")
    assert line in str(error.value)


def test_an_empty_table_is_no_gpu() -> None:
    assert parse("\n") == []


def test_without_nvidia_smi_there_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus({}) == []


# CUDA_VISIBLE_DEVICES


@pytest.mark.parametrize(
    ("visible", "chosen"),
    [
        (None, [0, 1, 2]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("1", [1]),
        ("2,0", [2, 0]),
        (" 2 , 1 ", [2, 1]),
        ("0,-1,2", [0]),
        ("0,,2", [0]),
        ("GPU-aa22", [1]),
        ("GPU-b", [2]),
        ("GPU-bb33,0", [2, 0]),
    ],
)
def test_the_variable_chooses_and_orders_as_cuda_does(visible: str | None, chosen: list[int]) -> None:
    assert [gpu.index for gpu in select(THREE, visible)] == chosen


@pytest.mark.parametrize(
    ("visible", "said"),
    [
        ("3", "3 is not a GPU of this machine (there: 0, 1, 2)"),
        ("0,GPU-cc", "GPU-cc is not a GPU of this machine"),
        ("GPU-aa", "GPU-aa is not a GPU of this machine"),  # two begin so
        ("GPU-33", "GPU-33 is not a GPU of this machine"),  # one ends so
        ("all", "all is not a GPU of this machine"),
        ("0,GPU-aa11", "names GPU 0 twice"),
        ("MIG-1234", "names MIG-1234, a slice of a GPU: name whole GPUs"),
    ],
)
def test_a_name_that_cuda_would_not_understand_is_named(visible: str, said: str) -> None:
    with pytest.raises(SetupError) as error:
        select(THREE, visible)
    assert said in str(error.value)


def test_without_gpus_the_message_says_so() -> None:
    with pytest.raises(SetupError, match=r"\(there: none\)"):
        select([], "0")


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (THREE[:2], "2 x NVIDIA H100 80GB HBM3"),
        (THREE[1:], "1 x NVIDIA H100 80GB HBM3, 1 x Tesla T4"),
        ([], "no GPU"),
    ],
)
def test_gpus_are_described_by_name_and_number(chosen: list[Gpu], said: str) -> None:
    assert describe(chosen) == said
