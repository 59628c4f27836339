from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest

from writing_rl.launch import attention, versions

INSTALLED = {"verl": "0.9.1", "torch": "2.13.0+cpu", "openai": "3.1", "vllm": "0.24.0"}


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is installed in a pretended environment."""
    installed = dict(INSTALLED)
    distributions = {
        "writing-rl": SimpleNamespace(
            metadata={"Requires-Python": ">=3.10,<3.13"},
            requires=[
                *("verl==0.9.1", "openai>=2", 'torch==2.13.0; extra == "cpu"'),
                'verl[vllm]==0.9.1; extra == "gpu"',
            ],
        ),
        "verl": SimpleNamespace(
            requires=[
                'torch==2.11.0; extra == "vllm"',
                'vllm==0.24.0; extra == "vllm"',
                'mbridge; extra == "vllm"',  # not pinned: no run needs it
                'flash-attn==2.8.3; extra == "fsdp"',
            ]
        ),
    }

    def version(name: str) -> str:
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    monkeypatch.delenv("WRITING_RL_PYTHON", raising=False)
    monkeypatch.setattr(versions, "distribution", distributions.__getitem__)
    monkeypatch.setattr(versions, "version", version)
    monkeypatch.setattr(attention, "version", version)
    return installed


def test_this_environment_is_what_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    result = subprocess.run(
        [sys.executable, "-m", versions.__name__, "cpu"], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (0, f"{sys.executable} has what a cpu run needs\n")


def test_a_cpu_environment_is_told_so_in_one_line() -> None:
    result = subprocess.run(
        [sys.executable, "-m", versions.__name__, "gpu"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert "a build for the CPU" in line
