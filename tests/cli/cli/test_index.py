from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import COMMAND
from writing_rl.curriculum import edit_lock
from writing_rl.curriculum.edit_lock import editing
from writing_rl.curriculum.index_file import write_index
from writing_rl.curriculum.journal import Journal
from writing_rl.curriculum.state import Move

START = {"2": 0, "4": 0, "10": 1}
#: After steps 1 and 3, and a resumption at step 1 that takes step 3 back.
NOW = {"2": 1, "4": 2, "10": 0}


@pytest.fixture
def index_file(tmp_path: Path) -> Path:
    """The file of an experiment and its journal."""
    path = tmp_path / "running_file" / "index_writing-rl.json"
    write_index(path, START)
    journal = Journal(path)
    journal.begin(0, START)
    journal.append(1, [Move("2", 0, 1, "won"), Move("10", 1, 0, "lost")])
    journal.append(3, [Move("2", 1, 2, "won"), Move("4", 0, 1, "manual")])
    journal.resume(1, {"2": 1, "4": 0, "10": 0})
    journal.append(2, [Move("4", 0, 1, "schedule")])
    journal.append(4, [Move("4", 1, 2, "manual")])
    write_index(path, NOW)
    return path


HOLD = """
import sys
from pathlib import Path
from writing_rl.curriculum.edit_lock import editing
with editing(Path(sys.argv[1])) as held:
    print(held, flush=True)
    sys.stdin.read()
"""


class Clock:
    """A clock that goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_another_process_is_waited_for_not_longer_than_that_and_a_kill_lets_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_file = tmp_path / "index.json"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(index_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "True\n"
    clock = Clock()
    with monkeypatch.context() as patch:
        patch.setattr(edit_lock, "time", clock)
        with editing(index_file, wait_s=0.3) as held:
            assert not held
    assert 0.3 <= clock.now < 0.3 + 2 * edit_lock.PAUSE_S
    other.kill()
    other.wait()
    with editing(index_file) as held:
        assert held


def test_a_forked_process_does_not_keep_the_lock(tmp_path: Path) -> None:
    index_file = tmp_path / "index.json"
    read_end, write_end = os.pipe()
    with editing(index_file):
        child = os.fork()
        if not child:  # lives on with our open files until it is told to end
            os.read(read_end, 1)
            os._exit(0)
    with editing(index_file, wait_s=0) as held:
        assert held
    os.write(write_end, b"x")
    os.waitpid(child, 0)
    os.close(read_end)
    os.close(write_end)


def test_a_reader_that_has_enough_gets_no_traceback(
    repository: Path, tmp_path: Path, index_file: Path
) -> None:
    write_index(index_file, {str(key): 1 for key in range(20_000)})
    write_index(tmp_path / "other.json", {str(key): 0 for key in range(20_000)})
    shell = 'set -o pipefail; "$0" "$@" index diff other.json --all | head -1'
    done = subprocess.run(
        ["bash", "-c", shell, *COMMAND],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "0: 0 -> 1\n", "")
