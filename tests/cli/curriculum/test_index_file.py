from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from writing_rl.curriculum.index_file import read_index

KILLS = 20
SAMPLES = 2000
WRITES_FOR_EVER = f"""
import itertools, sys
from writing_rl.curriculum.index_file import write_index
for count in itertools.count():
    write_index(sys.argv[1], {{str(key): count for key in range({SAMPLES})}})
    if count == 0:
        print("first", flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "running_file" / "index_test.json"


def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    choose = random.Random(0)
    for kill in range(KILLS):
        path = tmp_path / f"{kill}" / "index.json"
        with subprocess.Popen(
            [sys.executable, "-c", WRITES_FOR_EVER, path], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "first\n"
            # Any moment is a good one; this only spreads the kills over the phases of a write.
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=choose.uniform(0, 0.02))
            process.kill()
            assert process.wait() == -signal.SIGKILL
        indexes = read_index(path)
        assert len(indexes) == SAMPLES
        assert len(set(indexes.values())) == 1
