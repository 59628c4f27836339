"""What every script has in common."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
COMMANDS = sorted(path.name for path in SCRIPTS.iterdir() if path.suffix in (".py", ".sh"))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_how_to_call_it_and_does_nothing_else(name: str, tmp_path: Path) -> None:
    interpreter = sys.executable if name.endswith(".py") else "bash"
    done = subprocess.run(
        [interpreter, str(SCRIPTS / name), "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert f"scripts/{name}" in done.stdout or "writing-rl index create" in done.stdout
    assert done.stderr == ""
    assert not list(tmp_path.iterdir())
