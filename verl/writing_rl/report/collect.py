"""Finding what a run has left behind, and reading all of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from writing_rl.curriculum.journal import journal_of, read_journal
from writing_rl.errors import DataError, IndexFileError, SettingError, SetupError
from writing_rl.judging.client.budget import Bill
from writing_rl.report.positions import follow
from writing_rl.report.run_data import Figures, Positions, Run
from writing_rl.report.training_set import read_references
from writing_rl.report.transcripts import read_transcripts
from writing_rl.runlog.metrics_file import TRAINED, read_figures
from writing_rl.runlog.spent import read_spent, spent_file
from writing_rl.runlog.train_log import LogFacts, read_train_logs
from writing_rl.util.experiment_name import names_files
from writing_rl.util.folders import output_folder

_CHECKPOINT = re.compile(r"global_step_(\d+)")
#: Names in the message about an experiment that there is not.
_MOST_NAMES = 12


@dataclass(frozen=True)
class Folders:
    """Where runs leave what they leave behind.

    Attributes:
        logs: The folder of `logs/NAME`.
        index_files: The folder of index files and journals.
        checkpoints: The folder of `checkpoints/NAME`.
    """

    logs: Path = field(default_factory=lambda: output_folder("logs"))
    index_files: Path = field(default_factory=lambda: output_folder("running_file"))
    checkpoints: Path = field(default_factory=lambda: output_folder("checkpoints"))

    def index_file(self, name: str) -> Path:
        """The index file of an experiment."""
        return self.index_files / f"index_{name}.json"

    def experiments(self) -> list[str]:
        """The experiments that there are, the one that wrote last first."""
        found: dict[str, float] = {}
        for folder in self.logs.iterdir() if self.logs.is_dir() else ():
            if folder.is_dir() and any(self._inputs(folder.name)):
                found[folder.name] = self.written(folder.name)
        for journal in self.index_files.glob("index_*.jsonl"):
            name = journal.stem.removeprefix("index_")
            found.setdefault(name, journal.stat().st_mtime)
        return sorted(found, key=lambda name: (-found[name], name))

    def check(self, name: str) -> None:
        """There is such an experiment.

        Raises:
            SettingError: There is not; the message lists those that there are.
        """
        if names_files(name) and any(self._inputs(name)):
            return
        names = self.experiments()
        listed = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
        there = f"there are {listed}" if names else f"there is none in {self.logs}"
        raise SettingError(f"there is no experiment {name!r}: {there}")

    def state(self, name: str) -> tuple[tuple[str, int, int], ...]:
        """What tells whether a run has written something since: its files with their sizes and times."""
        found = []
        for path in self._inputs(name):
            try:
                status = path.stat()
            except OSError:
                continue  # it has gone in this moment
            found.append((str(path), status.st_size, status.st_mtime_ns))
        return tuple(found)

    def written(self, name: str) -> float:
        """When a run last wrote something, in seconds since 1970; 0.0 where it wrote nothing."""
        return max((nanoseconds / 1e9 for _, _, nanoseconds in self.state(name)), default=0.0)

    def _inputs(self, name: str) -> Iterator[Path]:
        logs = self.logs / name
        for pattern in ("train-*.log", "metrics/*.jsonl", "judge/*.jsonl", "judge/spent.json"):
            yield from sorted(logs.glob(pattern))
        if (journal := journal_of(self.index_file(name))).exists():
            yield journal


def collect(name: str, folders: Folders, total_steps: int | None = None) -> Run:
    """Reads all that an experiment has left behind so far.

    Args:
        name: The experiment.
        folders: Where to look.
        total_steps: Steps of the whole training, where somebody knows better than the logs.

    Raises:
        SettingError: There is no such experiment.
    """
    folders.check(name)
    logs = folders.logs / name
    notes: list[str] = []
    log = read_train_logs(logs)
    if not log.starts:
        notes.append("No log of the training is there, so its settings are not known.")
    elif not log.settings:
        notes.append("The log of the training does not hold its settings (yet).")
    notes += [f"The last start ended early: {ending}" for ending in log.endings]
    figures = _figures(logs, notes)
    references, by_index = _references(log, folders, notes)
    judged = read_transcripts(logs / "judge", by_index)
    if not judged.comparisons:
        notes.append("No transcript of the judge is there, so neither texts nor reasons are shown.")
    if judged.unreadable:
        notes.append(f"Lines of the transcripts that cannot be read: {judged.unreadable:,}.")
    run = Run(name, figures, judged=judged)
    positions = _positions(folders.index_file(name), run.last_step, notes)
    return Run(
        name,
        figures,
        positions,
        judged,
        log,
        _spent(logs, notes),
        references,
        by_index,
        tuple(_checkpoints(folders.checkpoints / name)),
        total_steps or log.total_steps,
        folders.written(name),
        tuple(notes),
    )


def _figures(logs: Path, notes: list[str]) -> Figures:
    figures, unreadable = read_figures(logs / "metrics")
    if not figures:
        notes.append("No metrics are there yet: what is shown comes from the journal and the transcripts.")
    elif not any(TRAINED in step for step in figures.values()):
        notes.append("No training step is complete yet.")
    if unreadable:
        notes.append(f"Lines of the metrics that cannot be read: {unreadable:,}.")
    return figures


def _positions(index_file: Path, last_step: int, notes: list[str]) -> Positions | None:
    path = journal_of(index_file)
    if not path.exists():
        notes.append("No journal is there, so what became of single samples is not known.")
        return None
    try:
        positions = follow(read_journal(path), last_step)
    except (IndexFileError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        notes.append(f"The journal cannot be read: {error}.")
        return None
    if positions is None:
        notes.append("The journal is still empty.")
    elif positions.resumed:
        steps = ", ".join(f"{step:,}" for step in positions.resumed[-5:])
        notes.append(f"The run went back to a checkpoint and took steps again: it resumed at step {steps}.")
    return positions


def _references(log: LogFacts, folders: Folders, notes: list[str]) -> tuple[dict[str, int], bool | None]:
    """How many references each sample has, and how samples are named, where the training set is there."""
    train_files = log.settings.get("data.train_files")
    if not isinstance(train_files, str):
        return {}, None
    if not Path(train_files).is_file():
        notes.append("The training set is not where the run read it, so no writing tasks are shown.")
        return {}, None
    try:
        return read_references(Path(train_files))
    except DataError as error:
        notes.append(f"No writing tasks are shown: {error}.")
        return {}, None


def _spent(logs: Path, notes: list[str]) -> Bill | None:
    path = spent_file(str(logs))
    try:
        return read_spent(path) if path.exists() else None
    except SetupError:
        notes.append(f"{path} is damaged, so the judge's cost is what the metrics say.")
        return None


def _checkpoints(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return sorted(int(match[1]) for path in folder.iterdir() if (match := _CHECKPOINT.fullmatch(path.name)))
