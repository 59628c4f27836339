from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def script(repository: Path) -> Path:
    return repository / "scripts" / "create_index_file.py"


def test_the_command_ends_with_one_line_and_exit_code_1(script: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ},
        check=False,
    )
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: data/train.parquet does not exist")
    assert result.stderr.count("\n") == 1
