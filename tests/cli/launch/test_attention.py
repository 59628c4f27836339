"""Which attention kernel is there, and what it means."""

from __future__ import annotations

import subprocess
import sys

from writing_rl.launch import attention


def tried(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", attention.__name__, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_kernel_that_cannot_be_loaded_is_one_line() -> None:
    result = tried("--try", "flash-attn")
    assert result.returncode == 1
    assert result.stderr.startswith("flash-attn cannot be loaded: ModuleNotFoundError: ")
    assert len(result.stderr.splitlines()) == 1


def test_pytorchs_own_needs_nothing() -> None:
    assert tried("--try", "sdpa").returncode == 0


def test_without_a_question_it_says_what_is_installed() -> None:
    assert tried().stdout.startswith("attention: ")
