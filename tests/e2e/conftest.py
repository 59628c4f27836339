"""Real trainings of a very small model: verl, Ray and vLLM, nothing in their place."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

#: Seconds after which a run counts as hanging; it takes half a minute on two idle cores.
LONGEST_RUN_S = 600
#: Seconds that its processes have for ending after it.
LONGEST_END_S = 60


@dataclass
class Run:
    """A training in a process of its own, whose output is read as it comes."""

    folder: Path
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    @property
    def output(self) -> str:
        """Everything that the run has said."""
        return "\n".join(self.lines)

    @property
    def story(self) -> str:
        """What a failed test shows of the run: what first went wrong in it, and its end."""
        signs = ("Traceback", "Error", "[fork server]", "died", "killed", "SIGTERM", "Fatal")
        first = next((n for n, line in enumerate(self.lines) if any(sign in line for sign in signs)), 0)
        begin = "\n".join(line[:300] for line in self.lines[max(0, first - 10) : first + 40])
        return f"{begin}\n[...]\n{self.output[-3000:]}"

    def wait_for_line(self, text: str, timeout_s: float = LONGEST_RUN_S) -> None:
        """Waits until the run says something, and fails where it ends or hangs before."""

        def said_or_ended() -> bool:
            return any(text in line for line in self.lines) or not self._reader.is_alive()

        with self._changed:
            self._changed.wait_for(said_or_ended, timeout_s)
        assert any(text in line for line in self.lines), f"never said {text!r}:\n{self.story}"

    def wait(self, timeout_s: float = LONGEST_RUN_S) -> int:
        """The exit code; a run that takes longer fails the test."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the run has not ended within {timeout_s:g} s:\n{self.story}")
        self._reader.join(10)
        return code

    def stop(self) -> None:
        """Ends what is left of the run."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set and a barely trained model, as the quick start makes them."""
    from writing_rl.quickstart.base_model import train_base_model
    from writing_rl.quickstart.dataset import draw_quickstart, to_rows, write_rows

    folder = tmp_path_factory.mktemp("material")
    texts = draw_quickstart(seed=1, train_rows=16, test_rows=4, corpus_texts=200)
    write_rows(to_rows(texts.train, "train"), folder / "train.parquet")
    write_rows(to_rows(texts.test, "test"), folder / "test.parquet")
    train_base_model(texts.corpus, folder / "base_model", steps=5)
    return folder


@pytest.fixture
def start_training(material: Path, tmp_path: Path) -> Iterator[object]:
    """Starts a training with Hydra overrides, in the test's own folder or another one."""
    runs: list[Run] = []

    def start(*overrides: str, folder: Path = tmp_path, data: Path = material, **variables: str) -> Run:
        index = folder / "running_file" / "index_trial.json"
        create = [sys.executable, str(Path(__file__).parents[2] / "scripts" / "create_index_file.py")]
        subprocess.run(
            [
                *create,
                "--experiment",
                "trial",
                "--data",
                str(data / "train.parquet"),
                "--folder",
                str(index.parent),
            ],
            check=True,
        )
        environment = {
            **os.environ,
            "BASE_MODEL": str(material / "base_model"),
            "DATA_DIR": str(data),
            "EXPERIMENT_NAME": "trial",
            "JUDGE_MODEL": "offline",
            # Else Ray holds back a line that several processes print, until another line comes.
            "RAY_DEDUP_LOGS": "0",
            **variables,
        }
        settings = [
            "profile=cpu",
            f"writing_rl.index_file={index}",
            "data.train_batch_size=4",
            "data.max_response_length=16",
            "actor_rollout_ref.rollout.n=4",
            "trainer.total_training_steps=2",
        ]
        process = subprocess.Popen(
            [sys.executable, "-m", "writing_rl.launch.main", *settings, *overrides],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        runs.append(Run(folder, process))
        return runs[-1]

    yield start
    for run in runs:
        run.stop()
    _, alive = psutil.wait_procs(processes_in({run.folder for run in runs}), timeout=LONGEST_END_S)
    assert not alive, "a run has left processes behind"


def processes_in(folders: Collection[Path]) -> list[psutil.Process]:
    """Processes that work in one of the folders, as all of a run do that began there."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()) in folders:
                found.append(process)
    return found
