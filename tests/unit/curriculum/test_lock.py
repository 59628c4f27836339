from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from writing_rl.curriculum.lock import RunLock, check_free
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


def test_it_can_be_taken_again_after_it_was_let_go(tmp_path: Path) -> None:
    lock = RunLock(tmp_path / "index.json")
    for _ in range(2):
        lock.acquire()
        with pytest.raises(IndexFileError, match=f"process {os.getpid()} on "):
            RunLock(tmp_path / "index.json").acquire(wait_s=0)
        lock.release()
    lock.release()


def test_other_experiments_are_not_concerned(tmp_path: Path) -> None:
    RunLock(tmp_path / "index_a.json").acquire()
    check_free(tmp_path / "index_b.json")
