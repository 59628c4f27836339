"""A run that goes on from a checkpoint has the curriculum of one that was never interrupted, and people may
edit the curriculum of one that is going on.

All runs here are fed the same outcomes, see `drawn_outcomes`. An epoch has three steps of five samples: the
checkpoint of step 2 lies within an epoch, and that of step 6 at the end of one.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.commands import COMMAND
from writing_rl.curriculum.checkpoint import read_saved
from writing_rl.curriculum.index_file import read_index, write_index
from writing_rl.curriculum.journal import journal_of, read_journal, rebuild
from writing_rl.curriculum.state import Saved

from . import drawn_outcomes
from .conftest import Run

STEPS = 12
#: Seconds until no process of a killed run is left; it takes one or two.
LONGEST_DEATH_S = 120


@dataclass
class Course:
    """How the curriculum of a finished run went.

    Attributes:
        indexes: Its index file at the end.
        after: The state after each step, as the journal has it.
        saved: What each checkpoint keeps, streaks included, by step.
        met: Step, sample, reference and outcome of every rollout; one that was repeated is there once.
    """

    indexes: dict[str, int]
    after: list[dict[str, int]]
    saved: dict[int, Saved]
    met: list[tuple[int, int, int, str]]


def course_of(folder: Path) -> Course:
    """Reads the course of a run that has come to its end."""
    journal = read_journal(journal_of(index_of(folder)))
    lines = [
        json.loads(line)
        for part in sorted((folder / "logs" / "trial" / "judge").glob("*.jsonl"))
        for line in part.read_text().splitlines()
    ]
    # A rollout's number in its group is the end of its name; the rest is drawn anew in every run.
    last = {(line["step"], line["id"], line["rollout"].split("_")[-1]): line for line in lines}
    return Course(
        indexes=read_index(index_of(folder)),
        after=[rebuild(journal, until_step=step) for step in range(STEPS + 1)],
        saved={
            step: read_saved(checkpoint_of(folder, step))
            for step in range(STEPS + 1)
            if checkpoint_of(folder, step).exists()
        },
        met=sorted((*key[:2], line["reference_index"], line["outcome"]) for key, line in last.items()),
    )


def index_of(folder: Path) -> Path:
    return folder / "running_file" / "index_trial.json"


def checkpoint_of(folder: Path, step: int) -> Path:
    return folder / "checkpoints" / "trial" / f"global_step_{step}"


def command(folder: Path) -> list[str]:
    """The overrides of all runs here."""
    return [
        f"reward.custom_reward_function.path={drawn_outcomes.__file__}",
        f"++reward.custom_reward_function.reward_kwargs.hang_file={hang_file(folder)}",
        "writing_rl.curriculum.wins_to_promote=2",
        "writing_rl.curriculum.losses_to_demote=2",
        "data.train_batch_size=5",
        f"trainer.total_training_steps={STEPS}",
        "trainer.save_freq=2",
        "trainer.val_before_train=false",
    ]


def hang_file(folder: Path) -> Path:
    return folder / "hang_in_step"


def hang_in(folder: Path, step: int) -> None:
    """Has a run wait in a step, and go on with the one that it waits in."""
    temporary = hang_file(folder).with_suffix(".new")
    temporary.write_text(str(step))
    temporary.replace(hang_file(folder))


def kill(run: Run) -> None:
    """Kills all processes of a run at once, and waits until none is left."""
    processes = psutil.Process(run.process.pid).children(recursive=True)
    os.killpg(run.process.pid, signal.SIGKILL)
    for process in processes:  # those that have left the group
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    assert run.wait() == -signal.SIGKILL
    _, alive = psutil.wait_procs(processes, timeout=LONGEST_DEATH_S)
    assert not alive


def assert_resumed(run: Run, step: int, file: dict[str, int], whole: Course) -> None:
    """The run has gone on after a step, and ends as the uninterrupted one did.

    Args:
        run: The run, which may still be under way.
        step: The checkpoint's step, or 0 where there was no checkpoint yet.
        file: What the index file held when it started.
        whole: The course of the uninterrupted run.
    """
    assert run.wait() == 0, run.story
    moved = {key for key, index in file.items() if index != whole.after[step][key]}
    place = checkpoint_of(run.folder, step) if step else "where it began"
    (line,) = [line for line in run.lines if "the curriculum goes on from" in line]
    assert line.endswith(
        f"[writing-rl] the curriculum goes on from {place}; the index file had {len(moved)} samples elsewhere"
    )
    assert f"[writing-rl] step {step + 1}/{STEPS} " in run.output
    assert f"[writing-rl] step {step}/{STEPS} " not in run.output
    course = course_of(run.folder)
    assert course.met == whole.met
    assert course.after == whole.after
    assert course.saved
    assert course.saved == {number: whole.saved[number] for number in course.saved}
    assert course.indexes == whole.indexes
    journal = read_journal(journal_of(index_of(run.folder)))
    assert rebuild(journal) == course.indexes
    assert moved == {entry["id"] for entry in journal if entry["why"] == "restored"}


@pytest.fixture(scope="module")
def whole_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the uninterrupted run."""
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def courses() -> list[Course]:
    """The course of the uninterrupted run, once there has been one."""
    return []


@pytest.fixture
def whole(start_training: Callable[..., Run], whole_folder: Path, courses: list[Course]) -> Course:
    """The course of the uninterrupted run, which trains for the first test that asks for it."""
    if not courses:
        run = start_training(*command(whole_folder), folder=whole_folder)
        assert run.wait() == 0, run.story
        courses.append(course_of(whole_folder))
    return courses[0]


def test_the_journal_and_the_checkpoints_of_an_uninterrupted_run_tell_the_same(whole: Course):
    assert whole.after[STEPS] == whole.indexes
    assert list(whole.saved) == [2, 4, 6, 8, 10, 12]
    for step, saved in whole.saved.items():
        assert whole.after[step] == saved.indexes
    assert len(whole.met) == STEPS * 5 * 4
    # Otherwise the other tests would prove nothing: there is something to lose with file and streaks.
    assert whole.after[0] != whole.after[4]
    assert whole.after[2] != whole.after[6] != whole.after[7] != whole.indexes
    for step in (2, 6):
        assert {1, -1} <= set(whole.saved[step].streaks.values())


@pytest.mark.parametrize(
    ("save_freq", "killed_in", "resumed_from"),
    [
        pytest.param(2, 8, 6, id="saved"),
        pytest.param(100, 5, 0, id="not saved yet", marks=pytest.mark.nightly),
    ],
)
def test_a_run_killed_in_the_middle_of_a_step_goes_on_as_if_it_had_not_been(
    start_training: Callable[..., Run],
    whole: Course,
    tmp_path: Path,
    save_freq: int,
    killed_in: int,
    resumed_from: int,
):
    overrides = [*command(tmp_path), f"trainer.save_freq={save_freq}"]
    hang_in(tmp_path, killed_in)
    killed = start_training(*overrides)
    killed.wait_for_line(f"{drawn_outcomes.HANGS} {killed_in}")
    kill(killed)
    # The step before is in the file, and in no checkpoint.
    file = read_index(index_of(tmp_path))
    assert file == whole.after[killed_in - 1] != whole.after[resumed_from]
    latest = tmp_path / "checkpoints" / "trial" / "latest_checkpointed_iteration.txt"
    assert (latest.read_text() if latest.exists() else "0") == str(resumed_from)

    hang_file(tmp_path).unlink()
    assert_resumed(start_training(*overrides), resumed_from, file, whole)


def test_a_run_that_goes_back_to_an_older_checkpoint_takes_the_same_course_again(
    start_training: Callable[..., Run], whole: Course, whole_folder: Path
):
    # As the later steps have left it, but for a sample that was also edited by hand.
    file = {**read_index(index_of(whole_folder)), "0": 3}
    write_index(index_of(whole_folder), file)
    back = start_training(
        *command(whole_folder),
        "trainer.resume_mode=resume_path",
        f"trainer.resume_from_path={checkpoint_of(whole_folder, 2)}",
        folder=whole_folder,
    )
    assert_resumed(back, 2, file, whole)


def test_an_edit_during_a_run_counts_and_a_faulty_one_does_no_harm(
    start_training: Callable[..., Run], tmp_path: Path
):
    hang_in(tmp_path, 2)
    run = start_training(*command(tmp_path), "trainer.total_training_steps=5")
    run.wait_for_line(f"{drawn_outcomes.HANGS} 2")
    index_file = index_of(tmp_path)
    before = read_index(index_file)
    edits = {key: 4 - index for key, index in before.items() if 4 - index != index}
    edit = [*COMMAND, "index", "set", *(f"{key}={index}" for key, index in edits.items())]
    subprocess.run([*edit, "--experiment", "trial"], cwd=tmp_path, check=True)
    hang_in(tmp_path, 4)
    run.wait_for_line(f"{drawn_outcomes.HANGS} 4")
    index_file.write_text('{"0": 99}')
    hang_file(tmp_path).unlink()
    assert run.wait() == 0, run.story
    assert f"by hand in {index_file}, from step 3 on: " in run.output
    assert f"{index_file}, id 0: the index is 99" in run.output
    assert [file.read_text() for file in index_file.parent.glob("*.faulty-*.json")] == ['{"0": 99}']
    journal = read_journal(journal_of(index_file))
    manual = [entry for entry in journal if entry["why"] == "manual"]
    assert {str(entry["id"]): entry["to"] for entry in manual} == edits
    assert {entry["step"] for entry in manual} == {2}
    assert rebuild(journal, 2) == {**before, **edits}
    assert rebuild(journal) == read_index(index_file)
    met = course_of(tmp_path).met
    assert {reference for step, id, reference, _ in met if step == 2} <= set(before.values())
    assert all(reference == rebuild(journal, 2)[str(id)] for step, id, reference, _ in met if step == 3)
