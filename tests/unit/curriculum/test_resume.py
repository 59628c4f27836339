from __future__ import annotations

from pathlib import Path

import pytest

from writing_rl.curriculum.index_file import write_index
from writing_rl.curriculum.journal import Journal
from writing_rl.curriculum.resume import beginning, check_beginning
from writing_rl.curriculum.rules import Existing
from writing_rl.curriculum.state import Move, Saved
from writing_rl.errors import SettingError

STARTS = {"0": 0, "1": 2}


@pytest.fixture
def index_file(tmp_path: Path) -> Path:
    """Of a run that was ended after its third step."""
    path = tmp_path / "index_mine.json"
    write_index(path, {"0": 0, "1": 1})
    journal = Journal(path)
    journal.begin(0, {"0": 0, "1": 1})
    journal.append(3, [Move("0", 0, 1, "won")])
    write_index(path, {"0": 1, "1": 1})
    return path


def test_not_resuming_asks_what_becomes_of_a_file_that_has_moved_on() -> None:
    with pytest.raises(SettingError, match=r"in f\.json 1 of 2 samples have moved on: .* keep or to reset"):
        check_beginning("f.json", Existing.ASK, {"0": 1, "1": 2}, STARTS)
    check_beginning("f.json", Existing.ASK, STARTS, STARTS)
    check_beginning("f.json", Existing.KEEP, {"0": 1, "1": 2}, STARTS)
    check_beginning("f.json", Existing.RESET, {"0": 1, "1": 2}, STARTS)


def test_the_answer_counts(index_file: Path) -> None:
    for resumes in (True, False):
        assert beginning(index_file, Existing.KEEP, STARTS, resumes=resumes) is None
        assert beginning(index_file, Existing.RESET, STARTS, resumes=resumes) == Saved(STARTS)


def test_a_run_that_ended_before_its_first_checkpoint_begins_where_it_began(index_file: Path) -> None:
    assert beginning(index_file, Existing.ASK, STARTS, resumes=True) == Saved({"0": 0, "1": 1})
    assert beginning(index_file, Existing.ASK, STARTS, resumes=False) is None


def test_a_run_that_made_no_step_goes_on_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "index_new.json"
    assert beginning(path, Existing.ASK, STARTS, resumes=True) is None
    Journal(path).begin(0, STARTS)
    assert beginning(path, Existing.ASK, STARTS, resumes=True) is None
