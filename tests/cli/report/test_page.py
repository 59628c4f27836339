"""The page that is made of what a run leaves behind."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.commands import COMMAND
from writing_rl.report.collect import Folders


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "logs", tmp_path / "running_file", tmp_path / "checkpoints")


def logged(folders: Folders, name: str, steps: Mapping[int, Mapping[str, float]]) -> None:
    path = folders.logs / name / "metrics" / "1.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"step": step, "data": data}) + "\n" for step, data in steps.items()))


def test_a_watched_run_is_reported_again_until_ctrl_c(tmp_path: Path) -> None:
    folders = Folders(tmp_path / "logs", tmp_path / "running_file")
    logged(folders, "a", {1: {"writing_rl/win_rate": 0.5}})
    watching = subprocess.Popen(
        [*COMMAND, "report", "--experiment", "a", "--watch", "1"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    page = folders.logs / "a" / "report.html"
    try:
        wait_for(lambda: page.exists() and b'content="1"' in page.read_bytes())
        logged(folders, "a", {step: {"writing_rl/win_rate": 0.5} for step in (1, 2)})
        wait_for(lambda: b"step 2," in page.read_bytes())
        watching.send_signal(signal.SIGINT)
        output, errors = watching.communicate(timeout=60)
    finally:
        watching.kill()
    assert (watching.returncode, errors) == (0, "")
    assert output.count("Report: ") == 2
    assert b'http-equiv="refresh"' not in page.read_bytes()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
