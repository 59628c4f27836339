from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace
from typing import Any

import pytest

from writing_rl import versions
from writing_rl.errors import SetupError

INSTALLED = {"verl": "0.9.1", "torch": "2.13.0+cpu", "openai": "3.1"}


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is installed in a pretended environment."""
    installed = dict(INSTALLED)
    ours = SimpleNamespace(
        metadata={"Requires-Python": ">=3.10,<3.13"},
        requires=["verl==0.9.1", "openai>=2", 'torch==2.13.0; extra == "cpu"', 'absent; extra == "gpu"'],
    )

    def version(name: str) -> str:
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(versions, "distribution", lambda _: ours)
    monkeypatch.setattr(versions, "version", version)
    return installed


def message(profile: str = "cpu") -> str:
    with pytest.raises(SetupError) as error:
        versions.check_versions(profile)
    return str(error.value)


def test_what_setup_py_asks_for_passes() -> None:
    versions.check_versions("cpu")


def test_another_version_is_named(machine: dict[str, str]) -> None:
    machine["verl"] = "0.8.0"
    assert message() == f"verl is 0.8.0, but ==0.9.1 is needed: {versions.REMEDY}"


def test_a_missing_package_is_named(machine: dict[str, str]) -> None:
    del machine["torch"]
    assert message() == f"torch is not installed: {versions.REMEDY}"


def test_only_the_profiles_own_packages_count() -> None:
    assert message("gpu") == f"absent is not installed: {versions.REMEDY}"


def test_another_python_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions.platform, "python_version", lambda: "3.13.1")
    assert message() == f"Python is 3.13.1, but >=3.10,<3.13 is needed: {versions.REMEDY}"


def test_ours_must_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def distribution(name: str) -> Any:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(versions, "distribution", distribution)
    assert message() == f"writing-rl is not installed: {versions.REMEDY}"
