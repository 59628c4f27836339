from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands import writing_rl
from writing_rl.curriculum.edit_lock import edit_lock_of, editing
from writing_rl.curriculum.history import (
    Change,
    change_lines,
    entries_until,
    listed,
    parse_key,
    read_entries,
    sample_lines,
    shown,
    step_lines,
)
from writing_rl.curriculum.index_file import read_index, write_index
from writing_rl.curriculum.inspect_index import (
    Data,
    difference,
    distribution,
    read_states,
    set_by_hand,
    summary,
)
from writing_rl.curriculum.journal import Journal, journal_of, read_journal
from writing_rl.curriculum.state import Move
from writing_rl.errors import IndexFileError

START = {"2": 0, "4": 0, "10": 1}
#: After steps 1 and 3, and a resumption at step 1 that takes step 3 back.
NOW = {"2": 1, "4": 2, "10": 0}
DATA = Data(Path("data/train.parquet"), {"2": 3, "4": 3, "10": 2})

Run = Callable[..., "subprocess.CompletedProcess[str]"]


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


@pytest.fixture
def run(repository: Path, tmp_path: Path) -> Run:
    """Runs the script in a temporary working directory."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return writing_rl("index", *arguments, cwd=tmp_path, env={**os.environ, **environment})

    return run


@pytest.fixture
def data(tmp_path: Path, make_row: Callable[..., dict[str, Any]], write_parquet: Callable[..., Path]) -> Path:
    """`data/train.parquet` below the working directory: ids 2, 4 and 10 with three references each."""
    return write_parquet(tmp_path / "data" / "train.parquet", [make_row(number) for number in (2, 4, 10)])


# ---- the lock


def test_one_at_a_time_gets_the_lock_and_the_others_wait(tmp_path: Path) -> None:
    index_file = tmp_path / "running_file" / "index_mine.json"
    write_index(index_file, {"0": 0})

    def add() -> None:
        for _ in range(10):
            with editing(index_file, wait_s=30.0) as held:
                assert held
                count = read_index(index_file)["0"]
                time.sleep(0.001)
                write_index(index_file, {"0": count + 1})

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_index(index_file) == {"0": 40}


def test_the_lock_is_let_go_at_once_also_after_an_error(tmp_path: Path) -> None:
    index_file = tmp_path / "index_mine.json"

    def fail() -> None:
        with editing(index_file, wait_s=0) as held:
            assert held
            raise PermissionError("of the body")

    for _ in range(3):
        with pytest.raises(PermissionError, match="of the body"):
            fail()
    assert edit_lock_of(index_file).name == ".index_mine.edit.lock"
    with editing(index_file), editing(tmp_path / "index_other.json", wait_s=0) as held:
        assert held


def test_a_folder_without_room_for_the_lock_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "running_file").write_text("in the way")
    begin = time.monotonic()
    with editing(tmp_path / "running_file" / "index.json") as held:
        assert not held
    assert time.monotonic() - begin < 3


# ---- ids


@given(st.text())
def test_every_id_is_shown_on_one_line_and_can_be_given_so(key: str) -> None:
    text = shown(key)
    assert text.isprintable()
    assert " " not in text or text.startswith('"')
    assert parse_key(text) == key


def test_ids_that_are_plain_stand_for_themselves() -> None:
    assert [shown(key) for key in ("12", "-1", "a/b.c", "é", "a b", "", '"a"', "\ud800", "x\n")] == [
        *("12", "-1", "a/b.c", "é", '"a b"', '""', r'"\"a\""', r'"\ud800"', r'"x\n"')
    ]
    assert parse_key('"a') == '"a'


def test_changes_are_listed_by_number() -> None:
    keys = ["10", "9", "b", "1" + "0" * 5000, "a", "0"]
    changes = [Change(key, 0, 1) for key in keys]
    assert [line.split(":")[0] for line in listed(changes)] == ["0", "9", "10", "1" + "0" * 5000, "a", "b"]
    assert list(listed(changes, 2)) == ["0: 0 -> 1", "9: 0 -> 1", "... and 4 more"]
    assert len(list(listed(changes, None))) == len(list(listed(changes, 6))) == 6
    assert len(list(listed([Change(str(key), 0, 1) for key in range(60)]))) == 51


# ---- show


def test_the_distribution() -> None:
    indexes = {str(key): index for key, index in enumerate([0] * 80 + [1] * 40 + [3])}
    assert list(distribution("here", indexes, None)) == [
        "here: 121 samples, mean index 0.36",
        "index  samples",
        "    0       80  " + "#" * 40,
        "    1       40  " + "#" * 20,
        "    3        1  #",
    ]
    assert list(distribution("here", {}, DATA)) == ["here: no samples"]


def test_the_distribution_knows_the_last_references() -> None:
    assert list(distribution("here", {"2": 2, "4": 1, "10": 1}, DATA))[-1] == (
        "at their last reference: 2 of 3 (67%)"
    )
    assert list(distribution("here", {"2": 2, "99": 0}, DATA))[-2:] == [
        "at their last reference: 1 of 1 (100%)",
        "not in data/train.parquet: 1",
    ]
    assert list(distribution("here", {"99": 0}, DATA))[-2] == "at their last reference: 0 of 0"


def test_a_sample_and_its_path(index_file: Path) -> None:
    entries = read_entries(index_file)
    assert sample_lines(index_file, NOW, ["4", "10"], entries, {"4": 3}) == [
        "4: 2 of 0 to 2; 0 at step 0 (start) -> 1 at step 3 (by hand) -> 0 at step 1 (restored) "
        "-> 1 at step 2 (schedule) -> 2 at step 4 (by hand)",
        "10: 0; 1 at step 0 (start) -> 0 at step 1 (lost)",
    ]
    assert sample_lines(index_file, {"10": 1, "x": 0}, ["10", "x"], entries, {}) == [
        "10: 1; 1 at step 0 (start) -> 0 at step 1 (lost) -> 1 (not in the journal)",
        "x: 0; not in the journal",
    ]
    with pytest.raises(IndexFileError, match=r'index_writing-rl\.json, id "a b": no such sample: name one'):
        sample_lines(index_file, NOW, ["4", "a b"], entries, {})


def test_a_state_of_the_past(index_file: Path) -> None:
    states = read_states(["0", "1", "2", "99", str(index_file)], index_file)
    assert states == [START, {"2": 1, "4": 0, "10": 0}, {"2": 1, "4": 1, "10": 0}, NOW, NOW]


def test_a_journal_that_begins_later_has_no_earlier_state(tmp_path: Path) -> None:
    index_file = tmp_path / "index.json"
    write_index(index_file, START)
    Journal(index_file).begin(5, START)
    with pytest.raises(
        IndexFileError, match=r"index\.jsonl has no state after step 4: it begins with step 5"
    ):
        entries_until(read_entries(index_file), 4, index_file)


def test_a_journal_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(IndexFileError, match=r"index\.jsonl does not exist: a training makes it"):
        read_entries(tmp_path / "index.json")
    (tmp_path / "index.jsonl").write_text('{"torn')
    with pytest.raises(IndexFileError, match=r"index\.jsonl is empty"):
        read_entries(tmp_path / "index.json")


@pytest.mark.parametrize(
    "entry",
    [
        {"step": 1, "to": 1, "from": 0, "why": "won"},
        {"step": 1, "id": 4, "to": 1, "from": 0, "why": "won"},
        {"step": 1, "id": "4", "to": 1, "why": "won"},
        {"step": 1, "id": "4", "to": True, "from": 0, "why": "won"},
        {"step": 1, "id": "4", "to": 1, "from": 0, "why": ["won"]},
        {"step": 1, "why": "start", "indexes": {"4": "1"}},
    ],
)
def test_a_damaged_entry_is_named(index_file: Path, entry: dict[str, Any]) -> None:
    journal = journal_of(index_file)
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([*lines, json.dumps(entry)]) + "\n")
    with pytest.raises(IndexFileError, match=rf"\.jsonl, line {len(lines) + 1} is damaged: "):
        read_entries(index_file)


# ---- set


def test_samples_are_set(index_file: Path) -> None:
    journal = read_journal(journal_of(index_file))
    changes = set_by_hand(index_file, {"4": 1, "2": 1, "10": 1}, DATA)
    assert list(map(str, changes)) == ["4: 2 -> 1", "10: 0 -> 1"]
    assert read_index(index_file) == {"2": 1, "4": 1, "10": 1}
    assert read_journal(journal_of(index_file)) == journal


def test_the_next_start_notes_it_as_made_by_hand(index_file: Path) -> None:
    set_by_hand(index_file, {"2": 0}, None)
    Journal(index_file).begin(4, read_index(index_file))
    assert list(step_lines(read_entries(index_file)))[-1] == "step 4: 2 by hand"


def test_all_samples_are_set(index_file: Path) -> None:
    assert len(set_by_hand(index_file, 1, DATA)) == 2
    assert read_index(index_file) == dict.fromkeys(NOW, 1)


def test_nothing_to_change_writes_nothing(index_file: Path) -> None:
    before = index_file.stat().st_mtime_ns, index_file.stat().st_ino
    assert set_by_hand(index_file, NOW, DATA) == []
    assert (index_file.stat().st_mtime_ns, index_file.stat().st_ino) == before


def test_a_sample_of_the_data_that_the_file_lacks_is_added(index_file: Path) -> None:
    write_index(index_file, {"2": 1})
    assert list(map(str, set_by_hand(index_file, {"4": 1}, DATA))) == ["4: none -> 1"]
    assert read_index(index_file) == {"2": 1, "4": 1}


@pytest.mark.parametrize(
    ("wanted", "data", "complaint"),
    [
        ({"4": 1, "99": 1}, DATA, "99: data/train.parquet has no such sample: name one that it has"),
        ({"4": 1, "99": 1}, None, "99: no such sample: name one that the file holds"),
        ({"4": 1, "x\ny": 1}, None, r'"x\\ny": no such sample'),
        ({"4": 1, "10": 2}, DATA, r"10: the index would be 2, but the sample has 2 .* the highest is 1"),
        ({"4": -1}, None, "4: the index would be -1, the lowest is 0"),
        (2, DATA, "10: the index would be 2"),
        (-1, DATA, "2: the index would be -1, the lowest is 0"),
    ],
)
def test_what_is_not_possible_is_named_and_nothing_is_written(
    index_file: Path, wanted: Any, data: Data | None, complaint: str
) -> None:
    before = index_file.read_bytes()
    for dry_run in (True, False):
        with pytest.raises(IndexFileError, match=rf"index_writing-rl\.json, id {complaint}") as error:
            set_by_hand(index_file, wanted, data, dry_run=dry_run)
        assert "\n" not in str(error.value)
    assert index_file.read_bytes() == before


def test_a_dry_run_needs_no_lock_and_writes_nothing(index_file: Path) -> None:
    before, files = index_file.read_bytes(), sorted(index_file.parent.iterdir())
    assert list(map(str, set_by_hand(index_file, {"4": 0}, DATA, dry_run=True))) == ["4: 2 -> 0"]
    assert index_file.read_bytes() == before
    assert sorted(index_file.parent.iterdir()) == files


def test_a_file_that_another_writes_is_left_alone(index_file: Path) -> None:
    with (
        editing(index_file),
        pytest.raises(IndexFileError, match=r"is being written by another process, or .*: try again"),
    ):
        set_by_hand(index_file, {"4": 0}, DATA, wait_s=0.1)
    assert read_index(index_file) == NOW


def test_what_another_wrote_meanwhile_is_kept(index_file: Path) -> None:
    with editing(index_file):
        thread = threading.Thread(target=set_by_hand, args=(index_file, {"4": 0}, DATA))
        thread.start()
        time.sleep(0.2)
        write_index(index_file, {**NOW, "2": 2})
    thread.join()
    assert read_index(index_file) == {**NOW, "2": 2, "4": 0}


def test_a_missing_file_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(IndexFileError, match=r"does not exist: make it with writing-rl index create"):
        set_by_hand(tmp_path / "running_file" / "index.json", {"4": 0}, None)
    assert not list(tmp_path.iterdir())


# ---- diff


def test_differences() -> None:
    changes = difference({"1": 0, "2": 2, "3": 1, "4": 0}, {"1": 1, "2": 0, "3": 1, "5": 0, "6": 1})
    assert list(listed(changes)) == ["1: 0 -> 1", "2: 2 -> 0", "4: 0 -> none", "5: none -> 0", "6: none -> 1"]
    assert summary(changes) == "1 up, 1 down, 1 only in A, 2 only in B"
    assert difference(NOW, dict(NOW)) == []


@given(*[st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3))] * 2)
def test_a_difference_leads_from_one_state_to_the_other(a: dict[str, int], b: dict[str, int]) -> None:
    state = dict(a)
    for change in difference(a, b):
        assert state.get(change.key) == change.before
        if change.after is None:
            del state[change.key]
        else:
            state[change.key] = change.after
    assert state == b


def test_states_are_files_checkpoints_and_steps(index_file: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "global_step_1"
    write_index(checkpoint / "reference_index.json", START)
    assert read_states([str(checkpoint), "0"], index_file) == [START, START]
    for name, complaint in (
        (str(tmp_path), "holds no reference_index.json: name a checkpoint's folder"),
        ("nowhere", "does not exist: name an index file, a checkpoint's folder or a step"),
        ("9" * 5000, "too long|does not exist"),
    ):
        with pytest.raises((IndexFileError, OSError), match=complaint):
            read_states([name], index_file)


# ---- history


def test_the_history_of_the_steps(index_file: Path) -> None:
    assert list(step_lines(read_entries(index_file))) == [
        "step 0: begun with 3 samples",
        "step 1: 1 up, 1 down",
        "step 3: 1 up, 1 by hand",
        "step 1: resumed from a checkpoint, 2 restored",
        "step 2: 1 up",
        "step 4: 1 by hand",
    ]


def test_the_history_of_a_sample(index_file: Path) -> None:
    assert change_lines(index_file, read_entries(index_file), ["10", "2"]) == [
        "step 0, 10: none -> 1 (start)",
        "step 0, 2: none -> 0 (start)",
        "step 1, 2: 0 -> 1 (won)",
        "step 1, 10: 1 -> 0 (lost)",
        "step 3, 2: 1 -> 2 (won)",
        "step 1, 2: 2 -> 1 (restored)",
    ]
    with pytest.raises(IndexFileError, match=r"index_writing-rl\.jsonl, id 3: no such sample"):
        change_lines(index_file, read_entries(index_file), ["2", "3"])


# ---- the script


def test_show_end_to_end(run: Run, index_file: Path, data: Path) -> None:
    done = run("show")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "running_file/index_writing-rl.json: 3 samples, mean index 1.00",
        "index  samples",
        *(f"    {index}        1  {'#' * 40}" for index in range(3)),
        "at their last reference: 1 of 3 (33%)",
    ]
    assert run("show", "--step", "0").stdout.startswith(
        "running_file/index_writing-rl.jsonl after step 0: 3 samples, mean index 0.33\n"
    )
    assert run("show", "--step", "0", "10").stdout == "10: 1 of 0 to 2; 1 at step 0 (start)\n"
    journal_of(index_file).unlink()
    assert run("show", "10").stdout == "10: 0 of 0 to 2; not in the journal\n"


def test_set_end_to_end(run: Run, index_file: Path, data: Path) -> None:
    done = run("set", "4=1", "10=2", "2=1", "--dry-run")
    assert done.stdout.splitlines() == [
        *("4: 2 -> 1", "10: 0 -> 2"),
        "running_file/index_writing-rl.json: 2 would change, nothing is written (--dry-run)",
    ]
    assert read_index(index_file) == NOW
    done = run("set", "4=1", "10=2", "2=1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == (
        "running_file/index_writing-rl.json: 2 changed; a run that is going on takes it up with its next step"
    )
    assert read_index(index_file) == {"2": 1, "4": 1, "10": 2}
    assert run("set", "4=1").stdout == "running_file/index_writing-rl.json: nothing to change\n"
    done = run("set", "4=3")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: running_file/index_writing-rl.json, id 4: the index would be 3, but the sample has 3 "
        "reference(s), so the highest is 2\n"
    )


def test_odd_ids_can_be_set(run: Run, index_file: Path) -> None:
    write_index(index_file, {"-1": 0, "a=b": 0, "x\ny": 0, "\ud800": 0})
    done = run("set", '"x\\ny"=1', '"\\ud800"=1', "a=b=1", '"-1"=1', PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:4] == [
        *("-1: 0 -> 1", '"a=b": 0 -> 1', '"x\\ny": 0 -> 1', '"\\ud800": 0 -> 1')
    ]
    assert run("set", "--", "-1=2").returncode == 0
    assert read_index(index_file) == {"-1": 2, "a=b": 1, "x\ny": 1, "\ud800": 1}
    assert run("show", "-1").stdout.startswith("-1: 2; ")


@pytest.mark.parametrize(
    "arguments",
    [
        *(["set"], ["set", "4=1", "--all", "1"], ["set", "4"], ["set", "4=x"], ["set", "--all", "1_0"]),
        *([], ["show", "--step", "-1"], ["history", "--last", "0"], ["diff"]),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(
    run: Run, index_file: Path, arguments: list[str]
) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert read_index(index_file) == NOW


def test_two_indexes_for_one_sample_are_refused(run: Run, index_file: Path) -> None:
    done = run("set", "4=1", "4=2")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "id 4: it is given two indexes" in done.stderr


def test_diff_end_to_end(run: Run, index_file: Path) -> None:
    done = run("diff", "0")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        *("2: 0 -> 1", "4: 0 -> 2", "10: 1 -> 0"),
        "2 up, 1 down, 0 only in A, 0 only in B",
    ]
    done = run("diff", "4", str(index_file))
    assert (done.returncode, done.stdout) == (0, "0 up, 0 down, 0 only in A, 0 only in B\n")
    done = run("diff", "nowhere")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert run("diff", "9" * 5000).returncode == 2


def test_history_end_to_end(run: Run, index_file: Path) -> None:
    with open(journal_of(index_file), "a") as journal:
        journal.write('{"step": 5, "id"')  # torn
    done = run("history", "--last", "2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "step 2: 1 up\nstep 4: 1 by hand\n", "")
    assert run("history", "10", "--last", "1").stdout == "step 1, 10: 1 -> 0 (lost)\n"


def test_the_experiment_is_named_by_an_option_or_in_the_environment(run: Run, index_file: Path) -> None:
    index_file.rename(index_file.parent.parent / "index_mine%.json")
    assert run("show", "--experiment", "mine%", "--folder", ".").returncode == 0
    assert run("show", "--folder", ".", EXPERIMENT_NAME="mine%").returncode == 0
    assert run("show", "--help", EXPERIMENT_NAME="mine%").returncode == 0
    done = run("show")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: running_file/index_writing-rl.json does not exist: make it with ")
