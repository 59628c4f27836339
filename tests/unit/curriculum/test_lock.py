from __future__ import annotations

import os
from pathlib import Path

import pytest

from writing_rl.curriculum.lock import RunLock, check_free
from writing_rl.errors import IndexFileError


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
