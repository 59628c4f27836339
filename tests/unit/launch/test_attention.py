"""Which attention kernel is there, and what it means."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import pytest

from writing_rl.launch import attention
from writing_rl.launch.attention import Kernel


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The distributions of a pretended environment and their versions."""
    there: dict[str, str] = {}

    def version(name: str) -> str:
        if name not in there:
            raise PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr(attention, "version", version)
    return there


@pytest.mark.parametrize(
    ("there", "kernel", "implementation", "said"),
    [
        (
            {"flash-attn": "2.8.3"},
            Kernel.FLASH_ATTN,
            "flash_attention_2",
            "flash-attn 2.8.3: nothing is lost",
        ),
        (
            {"kernels": "0.12.3"},
            Kernel.HUB,
            "flash_attention_2",
            "(kernels-community/flash-attn2), by kernels 0.12.3",
        ),
        (
            {"flash-attn": "2.8.3", "kernels": "0.12.3"},
            Kernel.FLASH_ATTN,
            "flash_attention_2",
            "flash-attn 2.8.3",
        ),
        ({}, Kernel.SDPA, "sdpa", "1 GiB at 32,768"),
    ],
)
def test_the_best_kernel_that_is_installed_is_used(
    installed: dict[str, str], there: dict[str, str], kernel: Kernel, implementation: str, said: str
) -> None:
    installed.update(there)
    assert attention.installed() is kernel
    assert attention.implementation() == implementation
    assert attention.describe().startswith("attention: ")
    assert said in attention.describe()
