"""The owner of the curriculum with its files, without Ray's processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from writing_rl.curriculum.index_file import read_index, write_index
from writing_rl.curriculum.journal import Journal, journal_of, read_journal, rebuild
from writing_rl.curriculum.owner import ReferenceOwner
from writing_rl.curriculum.rules import Promotion
from writing_rl.curriculum.state import Move, Saved
from writing_rl.data.samples import SampleKeys
from writing_rl.judging.breaker import Breaker


@pytest.fixture
def index_file(tmp_path: Path) -> Path:
    """An index file whose run was killed between the lines of a step and the file."""
    path = tmp_path / "index_mine.json"
    write_index(path, {"0": 0, "1": 1})
    journal = Journal(path)
    journal.begin(0, read_index(path))
    journal.append(1, [Move("0", 0, 1, "won")])
    os.utime(path, ns=(0, 0))
    return path


def owner(index_file: Path) -> ReferenceOwner:
    keys = SampleKeys(by_index=False)
    return ReferenceOwner(
        str(index_file), keys, {"0": 4, "1": 4}, read_index(index_file), Promotion(), Breaker(1.0, 4)
    )


def test_a_new_run_goes_on_with_the_step_that_a_kill_left_half_written(index_file: Path) -> None:
    run = owner(index_file)
    run.begin(1, 10)
    assert run.save().indexes == read_index(index_file) == {"0": 1, "1": 1}


def test_a_checkpoint_counts_and_journal_and_file_stay_the_same(index_file: Path) -> None:
    run = owner(index_file)
    assert run.restore(0, Saved({"0": 0, "1": 1}, {"1": 2}, ["0"])) == 1
    run.begin(0, 10)
    assert run.save() == Saved({"0": 0, "1": 1}, {"1": 2}, ["0"])
    assert rebuild(read_journal(journal_of(index_file))) == read_index(index_file) == {"0": 0, "1": 1}
