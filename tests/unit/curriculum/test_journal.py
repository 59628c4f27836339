from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.curriculum.index_file import read_index, write_index
from writing_rl.curriculum.journal import Journal, journal_of, read_journal, rebuild
from writing_rl.curriculum.state import Move
from writing_rl.errors import IndexFileError

START = {"0": 0, "1": 2, "7": 0}


@pytest.fixture
def index_file(tmp_path: Path) -> Path:
    path = tmp_path / "running_file" / "index_mine.json"
    write_index(path, START)
    return path


def begun(index_file: Path) -> Journal:
    journal = Journal(index_file)
    journal.begin(0, read_index(index_file))
    return journal


def commit(journal: Journal, index_file: Path, step: int, indexes: dict[str, int], **to: int) -> None:
    """A step as the owner commits it."""
    moves = [Move(key[1:], indexes[key[1:]], index, "won") for key, index in to.items()]
    journal.append(step, moves)
    indexes.update({move.key: move.after for move in moves})
    write_index(index_file, indexes)


def test_every_past_state_can_be_rebuilt(index_file: Path) -> None:
    journal, indexes = begun(index_file), dict(START)
    states = {0: dict(START)}
    for step, to in ((1, {"_0": 1}), (2, {"_0": 2, "_7": 1}), (5, {"_1": 3})):
        commit(journal, index_file, step, indexes, **to)
        states[step] = dict(indexes)
    entries = read_journal(journal.path)
    assert journal.path.name == "index_mine.jsonl"
    assert {step: rebuild(entries, step) for step in states} == states
    assert rebuild(entries) == rebuild(entries, 99) == read_index(index_file)


def test_a_later_run_goes_on_with_the_same_journal(index_file: Path) -> None:
    journal, indexes = begun(index_file), dict(START)
    commit(journal, index_file, 1, indexes, _0=1)
    content = journal.path.read_text()
    assert Journal(index_file).begin(1, read_index(index_file)) == indexes
    assert journal.path.read_text() == content


def test_what_a_person_changed_meanwhile_is_noted(index_file: Path) -> None:
    journal, indexes = begun(index_file), dict(START)
    commit(journal, index_file, 1, indexes, _0=1)
    edited = {**indexes, "7": 1}
    write_index(index_file, edited)
    assert Journal(index_file).begin(1, edited) == edited
    last = read_journal(journal.path)[-1]
    assert last == {"step": 1, "id": "7", "from": 0, "to": 1, "why": "manual"}
    assert rebuild(read_journal(journal.path)) == edited


def test_a_step_taken_back_by_hand_stays_taken_back(index_file: Path) -> None:
    journal, indexes = begun(index_file), dict(START)
    commit(journal, index_file, 1, indexes, _0=1)
    write_index(index_file, START)
    os.utime(journal.path, ns=(0, 0))  # the file is the newer one
    assert Journal(index_file).begin(1, START) == START
    assert rebuild(read_journal(journal.path)) == START


def test_a_kill_between_journal_and_file_is_made_whole(index_file: Path) -> None:
    journal = begun(index_file)
    journal.append(1, [Move("0", 0, 1, "won"), Move("7", 0, 1, "won")])
    os.utime(index_file, ns=(0, 0))
    after = {"0": 1, "1": 2, "7": 1}
    assert Journal(index_file).begin(1, read_index(index_file)) == after
    assert read_index(index_file) == after
    assert rebuild(read_journal(journal.path)) == after


def test_a_kill_at_any_byte_of_the_journal_leaves_a_state_of_it(tmp_path: Path) -> None:
    index_file = tmp_path / "index.json"
    write_index(index_file, START)
    journal = begun(index_file)
    begin = journal.path.stat().st_size
    journal.append(1, [Move("0", 0, 1, "won"), Move("7", 0, 1, "won")])
    whole = journal.path.read_bytes()
    for length in range(begin, len(whole) + 1):
        write_index(index_file, START)
        os.utime(index_file, ns=(0, 0))
        journal.path.write_bytes(whole[:length])
        state = Journal(index_file).begin(1, read_index(index_file))
        assert state == read_index(index_file) == rebuild(read_journal(journal.path))
        assert state in (START, {**START, "0": 1}, {**START, "0": 1, "7": 1})
        journal.append(2, [Move("1", 2, 3, "won")])
        assert rebuild(read_journal(journal.path)) == {**state, "1": 3}


@pytest.mark.parametrize("line", ["", "{", "[]", '{"step": 1}', '{"step": "a", "why": "won", "to": 1}'])
def test_a_damaged_line_is_named(index_file: Path, line: str) -> None:
    path = begun(index_file).path
    path.write_text(
        path.read_text() + line + "\n" + json.dumps({"step": 1, "id": "0", "to": 1, "why": "won"}) + "\n"
    )
    with pytest.raises(IndexFileError, match=r"index_mine\.jsonl, line 2 is damaged"):
        read_journal(path)


@given(
    moves=st.lists(
        st.tuples(st.integers(1, 6), st.sampled_from(sorted(START)), st.integers(0, 5)), max_size=30
    )
)
def test_rebuilding_follows_the_way_a_run_went_also_when_it_went_back(
    moves: list[tuple[int, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    index_file = tmp_path_factory.mktemp("run") / "index.json"
    write_index(index_file, START)
    journal, indexes = begun(index_file), dict(START)
    for step, key, index in moves:
        journal.append(step, [Move(key, indexes[key], index, "won")])
        indexes[key] = index
    assert rebuild(read_journal(journal_of(index_file))) == indexes


def test_a_run_that_goes_back_is_followed_the_way_it_went(index_file: Path) -> None:
    """Also where a sample came back by itself, so that going back moved it nowhere."""
    journal, indexes = begun(index_file), dict(START)
    commit(journal, index_file, 3, indexes, _0=1)
    commit(journal, index_file, 5, indexes, _0=0, _7=2)
    journal.resume(2, START)
    commit(journal, index_file, 6, dict(START), _1=3)
    entries = read_journal(journal.path)
    assert rebuild(entries, 2) == rebuild(entries, 3) == rebuild(entries, 4) == START
    assert rebuild(entries) == {**START, "1": 3}


def test_a_run_without_a_journal_resumes_with_a_new_one(index_file: Path) -> None:
    journal = Journal(index_file)
    journal.resume(4, {"0": 3, "1": 2, "7": 0})
    assert rebuild(read_journal(journal.path), 4) == {"0": 3, "1": 2, "7": 0}
