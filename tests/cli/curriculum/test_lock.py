from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from writing_rl.curriculum.lock import check_free
from writing_rl.errors import IndexFileError

HOLD = """
import sys
from writing_rl.curriculum.lock import RunLock
lock = RunLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_run_is_told_which_is_the_first_and_a_kill_lets_go(tmp_path: Path) -> None:
    index_file = tmp_path / "running_file" / "index_mine.json"
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(index_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    with pytest.raises(IndexFileError) as error:
        check_free(index_file, wait_s=0.2)
    assert f"is in use by the run of process {first.pid} on " in str(error.value)
    assert "another EXPERIMENT_NAME" in str(error.value)
    first.kill()
    first.wait()
    check_free(index_file)
