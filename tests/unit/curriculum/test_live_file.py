from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from writing_rl.curriculum import live_file
from writing_rl.curriculum.index_file import read_index, write_index
from writing_rl.curriculum.live_file import NOTHING, Found, SharedIndexFile
from writing_rl.curriculum.state import Curriculum, Move
from writing_rl.util import atomic_files

REFERENCES = {"0": 4, "1": 4, "7": 400}


class Run:
    """A curriculum and its file, as the owner has them."""

    def __init__(self, path: Path) -> None:
        write_index(path, {"0": 0, "1": 1, "7": 9})
        self.path = path
        self.curriculum = Curriculum(REFERENCES, read_index(path))
        self.file = SharedIndexFile(path, self.curriculum.indexes, REFERENCES)

    def move(self, key: str, index: int) -> Move:
        (move,) = self.curriculum.edit({key: index})
        return move


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "index_mine.json")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_file, "SAVING_S", 0.0)


def save(path: Path, **indexes: int) -> None:
    """As an editor of a person does it: in place, in a format of its own."""
    path.write_text(json.dumps({key[1:]: index for key, index in indexes.items()}, indent=4))


def test_what_the_run_writes_is_no_edit(run: Run) -> None:
    assert run.file.look() == NOTHING
    assert run.file.write([run.move("0", 2), run.move("7", 10)]) == NOTHING
    assert read_index(run.path) == {"0": 2, "1": 1, "7": 10}
    assert run.file.look() == NOTHING


def test_an_edit_is_seen_once(run: Run) -> None:
    save(run.path, _0=0, _1=3, _7=9)
    assert run.file.look() == Found({"1": 3})
    assert run.file.look() == NOTHING


def test_another_format_is_no_edit(run: Run) -> None:
    save(run.path, _7=9, _1=1, _0=0)
    assert not run.file.look()


def test_a_second_edit_counts_from_the_first(run: Run) -> None:
    save(run.path, _0=0, _1=3, _7=9)
    assert run.file.look().edits == {"1": 3}
    save(run.path, _0=0, _1=1, _7=9)
    assert run.file.look().edits == {"1": 1}


@pytest.mark.parametrize("exchanges", [True, False])
def test_an_edit_in_the_moment_of_a_write_is_not_swallowed(
    run: Run, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    if not exchanges:
        monkeypatch.setattr(atomic_files, "RENAME_EXCHANGE", 1 << 20)  # which no file system knows
    moves = [run.move("0", 1)]
    save(run.path, _0=0, _1=3, _7=9)
    assert run.file.write(moves) == Found({"1": 3})
    assert read_index(run.path) == {"0": 1, "1": 1, "7": 9}
    assert run.file.write(run.curriculum.edit({"1": 3})) == NOTHING
    assert read_index(run.path) == {"0": 1, "1": 3, "7": 9}
    assert [path.name for path in run.path.parent.iterdir() if path.suffix != ".lock"] == [run.path.name]


@pytest.mark.parametrize("exchanges", [True, False])
def test_an_edit_that_is_undone_before_the_run_has_written_it_stays_undone(
    run: Run, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    if not exchanges:
        monkeypatch.setattr(atomic_files, "RENAME_EXCHANGE", 1 << 20)
    save(run.path, _0=0, _1=1, _7=2)
    assert run.file.write([run.move("0", 1)]) == Found({"7": 2})  # the text still says 9
    save(run.path, _0=1, _1=1, _7=9)
    assert run.file.write(run.curriculum.edit({"7": 2})) == Found({"7": 9})
    assert run.file.write(run.curriculum.edit({"7": 9})) == NOTHING
    assert read_index(run.path) == run.curriculum.indexes == {"0": 1, "1": 1, "7": 9}


def test_another_format_undoes_no_promotion(run: Run) -> None:
    save(run.path, _7=9, _1=1, _0=0)
    assert run.file.write([run.move("0", 1)._replace(why="won")]) == NOTHING
    assert read_index(run.path) == {"0": 1, "1": 1, "7": 9}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('{"0": 0, "1"', "is not JSON"),
        ("", "is not JSON"),
        ("[1]", "must hold one JSON object"),
        ('{"0": 0, "1": 4, "7": 9}', "id 1: the index is 4, but the sample has 4 reference(s)"),
        ('{"0": 0, "1": -1, "7": 9}', "id 1: the index is -1"),
        ('{"0": 0, "1": true, "7": 9}', "id 1: the index is true"),
        ('{"0": 0, "1": 1, "7": 9, "8": 0}', "id 8: the training data has no such sample"),
        ('{"0": 0, "1": 1}', "lacks id 7"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_an_impossible_edit_is_kept_under_another_name(
    run: Run, impatient: None, content: str, fault: str
) -> None:
    run.path.write_text(content)
    found = run.file.look()
    assert found.edits == {}
    assert fault in found.fault
    (kept,) = run.path.parent.glob("*.faulty-*.json")
    assert kept.read_text() == content
    assert kept.name in found.fault
    assert not run.file.look()
    assert run.file.write() == NOTHING
    assert read_index(run.path) == {"0": 0, "1": 1, "7": 9}


def test_a_file_that_is_gone_is_written_again(run: Run, impatient: None) -> None:
    run.path.unlink()
    assert "cannot be read: No such file" in run.file.look().fault
    assert run.file.write() == NOTHING
    assert read_index(run.path) == {"0": 0, "1": 1, "7": 9}


def test_a_file_that_is_being_saved_is_waited_for(run: Run) -> None:
    started = threading.Event()

    def save_slowly() -> None:
        with open(run.path, "w") as file:
            file.write('{"0": 0, "1"')
            file.flush()
            started.set()
            time.sleep(0.1)
            file.write(': 2, "7": 9}')

    editor = threading.Thread(target=save_slowly)
    editor.start()
    started.wait()
    assert run.file.look() == Found({"1": 2})
    editor.join()


def test_no_edit_is_lost_between_writes(run: Run) -> None:
    """A person saves again and again, by rename, while the run writes as fast as it can."""
    saved: list[int] = []

    def edit() -> None:
        for index in range(10, 210):
            temporary = run.path.with_suffix(".editor")
            temporary.write_text(json.dumps({**read_index(run.path), "7": index}))
            os.replace(temporary, run.path)
            saved.append(index)

    editor = threading.Thread(target=edit)
    editor.start()
    place, last_round = 0, False
    while not last_round:
        last_round = not editor.is_alive()
        place = 1 - place
        found = run.file.write([run.move("0", place)])
        while found:
            found = run.file.write(run.curriculum.edit(found.edits))
        place = run.curriculum.indexes["0"]  # the editor may have saved an older one
    assert run.curriculum.indexes["7"] == read_index(run.path)["7"] == saved[-1]
