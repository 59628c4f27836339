"""A short training in a folder of its own, in a process of its own, watched from outside.

Smoke run and rehearsal are made of these: nothing of an experiment is read or written, and a training that
dies leaves its log.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.types import Quote, QuotedString

from writing_rl.curriculum.create import Starts, create_index_file
from writing_rl.errors import RunFailure
from writing_rl.runlog.metrics_file import read_figures
from writing_rl.util.console import say

#: What marks the lines of ours in a training's output.
MARK = "[writing-rl] "
#: Seconds between two looks at a training.
INTERVAL_S = 0.5

_EXCEPTION = re.compile(r"(\w+\.)*\w*(Error|Exception): ")


@dataclass(frozen=True)
class TrialFolder:
    """A folder in which trainings share checkpoints, index file and logs.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints go."""
        return self.path / "checkpoints"

    @property
    def logs(self) -> Path:
        """Where figures and transcripts go."""
        return self.path / "logs"

    @property
    def index_file(self) -> Path:
        """The index file of the trial."""
        return self.path / "index.json"

    def overrides(self) -> list[str]:
        """What keeps a training in this folder."""
        return [
            f"writing_rl.index_file={quoted(self.index_file)}",
            f"writing_rl.log_dir={quoted(self.logs)}",
            f"writing_rl.judge.cache_file={quoted(self.path / 'cache.sqlite')}",
            f"trainer.default_local_dir={quoted(self.checkpoints)}",
            "trainer.logger=[console,file]",
        ]

    def make_index(self, data: Path) -> None:
        """Makes the index file for a training set.

        Raises:
            UserError: The set cannot be used.
        """
        create_index_file(self.index_file, Starts.from_data(data), reset=True)

    def figures(self) -> dict[int, dict[str, float]]:
        """The figures of each step."""
        return read_figures(self.logs / "metrics")[0]


def train(
    name: str,
    folder: TrialFolder,
    overrides: Sequence[str],
    variables: Mapping[str, str],
    watch: Callable[[int], None] | None = None,
    show: bool = True,
) -> float:
    """Runs a training to its end.

    Args:
        name: Of its log, and for messages.
        folder: Where it works.
        overrides: Hydra overrides.
        variables: Added to the environment.
        watch: Called with its process id every half second.
        show: Whether its lines of ours are printed as they come.

    Returns:
        Seconds it took.

    Raises:
        RunFailure: It failed; the message holds the error and names its log.
    """
    log = folder.path / f"{name}.log"
    environment = {**os.environ, **variables, "RAY_DEDUP_LOGS": "0"}
    # A variable of an outer run would send the figures elsewhere.
    for variable in ("VERL_FILE_LOGGER_PATH", "TENSORBOARD_DIR", "WANDB_API_KEY"):
        environment.pop(variable, None)
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "writing_rl.launch.main", *overrides, *folder.overrides()],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    shown = 0
    try:
        while True:
            try:
                code = process.wait(INTERVAL_S)
            except subprocess.TimeoutExpired:
                code = None
            if watch is not None and code is None:
                watch(process.pid)
            if show:
                shown = _show(log, shown)
            if code is not None:
                break
    except BaseException:
        _end(process)
        raise
    if code != 0:
        raise RunFailure(f"the {name} run failed ({_error(log)}); everything it said is in {log}")
    return time.monotonic() - started


def quoted(value: object) -> str:
    """A value for Hydra's command line, whatever characters it holds."""
    return QuotedString(str(value), Quote.single).with_quotes()


def _show(log: Path, shown: int) -> int:
    """Prints the lines of ours after a position, and returns the position after the last whole line."""
    with log.open("rb") as file:
        file.seek(shown)
        content = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    for line in whole.decode("utf-8", "replace").splitlines():
        if MARK in line:
            say(f"  {line[line.index(MARK) + len(MARK) :]}")
    return shown + len(whole)


def _error(log: Path) -> str:
    """What a log says of the end: our own line, else the last exception, else the last line."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    ours = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    exceptions = [line for line in lines if _EXCEPTION.match(line)]
    return (ours or exceptions or [line for line in lines if line] or ["it said nothing"])[-1][:300]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a training with all that it started: Ray ends its processes when their driver is gone."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
