"""The owner of the curriculum with its files, without Ray's processes."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from writing_rl.curriculum import live_file
from writing_rl.curriculum.index_file import read_index, write_index
from writing_rl.curriculum.journal import Journal, journal_of, read_journal, rebuild
from writing_rl.curriculum.messages import Judged, Row
from writing_rl.curriculum.owner import ReferenceOwner
from writing_rl.curriculum.rules import Promotion
from writing_rl.curriculum.state import Move, Saved
from writing_rl.dataset.samples import SampleKeys
from writing_rl.experiments.benchmark.index_state import kill_commits, measure_commits
from writing_rl.judging.circuit_breaker import Breaker
from writing_rl.judging.compare import Comparison
from writing_rl.judging.verdict import Outcome
from writing_rl.text.statistics import Writing


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


def judged(key: int, step: int) -> Judged:
    """A rollout of training that won."""
    return Judged.of(Row(key, key), step, "u_0", True, Comparison(Outcome.WIN), Writing(3, 0.0))


def owner(index_file: Path) -> ReferenceOwner:
    keys = SampleKeys(by_index=False)
    return ReferenceOwner(
        str(index_file), keys, {"0": 4, "1": 4}, read_index(index_file), Promotion(), Breaker(0.9, 4)
    )


async def test_a_new_run_goes_on_with_the_step_that_a_kill_left_half_written(index_file: Path) -> None:
    run = owner(index_file)
    await run.begin(1, 10)
    assert run.save().indexes == read_index(index_file) == {"0": 1, "1": 1}


async def test_a_checkpoint_counts_and_journal_and_file_stay_the_same(index_file: Path) -> None:
    run = owner(index_file)
    saved = Saved({"0": 0, "1": 1}, {"1": 2}, ["0"])
    write_index(index_file, {"0": 3, "1": 3})  # whatever stands there
    assert await run.begin(0, 10, saved) == 0
    assert run.save() == saved
    assert rebuild(read_journal(journal_of(index_file))) == read_index(index_file) == {"0": 0, "1": 1}
    assert "manual" not in journal_of(index_file).read_text()


async def test_an_edit_counts_from_the_next_step_and_is_journalled(
    index_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = owner(index_file)
    await run.begin(1, 10)
    assert run.assign(2, [Row(1, 1)]) == [1]
    write_index(index_file, {"0": 1, "1": 3})
    assert run.assign(2, [Row(1, 1)]) == [1]
    run.record([judged(1, step=2), judged(0, step=2)])
    await run.commit(2)
    assert run.assign(3, [Row(1, 1)]) == [3]
    assert read_index(index_file) == {"0": 2, "1": 3}
    entries = read_journal(journal_of(index_file))
    assert {"step": 2, "id": "1", "from": 1, "to": 3, "why": "manual"} in entries
    assert rebuild(entries) == read_index(index_file)
    assert f"by hand in {index_file}, from step 3 on: 1: 1 -> 3" in capsys.readouterr().out


async def test_a_faulty_edit_leaves_the_run_with_its_last_good_state(
    index_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_file, "SAVING_S", 0.0)
    run = owner(index_file)
    await run.begin(1, 10)
    index_file.write_text('{"0": 99, "1": 1}')
    await run.look(1)
    run.record([judged(0, step=2)])
    await run.commit(2)
    assert read_index(index_file) == {"0": 2, "1": 1}
    assert "id 0: the index is 99" in capsys.readouterr().out
    assert len(list(index_file.parent.glob("*faulty*"))) == 1


async def test_a_step_is_committed_while_others_are_judged(
    index_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = owner(index_file)
    await run.begin(1, 10)
    writes = threading.Event()
    write = live_file.SharedIndexFile.write

    def slow_write(file: live_file.SharedIndexFile, moves: Sequence[Move] = ()) -> live_file.Found:
        assert writes.wait(timeout=60)
        return write(file, moves)

    monkeypatch.setattr(live_file.SharedIndexFile, "write", slow_write)
    run.record([judged(0, step=2)])
    commit = asyncio.ensure_future(run.commit(2))
    await asyncio.sleep(0.1)
    assert run.assign(3, [Row(1, 1)]) == [1]
    assert not commit.done()
    writes.set()
    await commit
    assert read_index(index_file)["0"] == 2


async def test_it_says_when_judging_has_ended(index_file: Path) -> None:
    run = owner(index_file)
    waiting = asyncio.ensure_future(run.ended())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    run.stop("the budget is spent", complete=True)
    await asyncio.wait_for(waiting, 20)
    await asyncio.wait_for(run.ended(), 20)  # whoever asks later


async def test_it_says_so_when_too_much_is_unscored(index_file: Path) -> None:
    run = owner(index_file)
    waiting = asyncio.ensure_future(run.ended())
    unscored = Comparison(Outcome.UNSCORED, reason="timeout")
    for session in range(4):
        assert not waiting.done()
        run.record([Judged.of(Row(0, 0), 1, f"u_{session}", True, unscored, Writing(3, 0.0))])
        await asyncio.sleep(0.01)
    await asyncio.wait_for(waiting, 20)
    end = run.stopped()
    assert end is not None
    assert not end.complete
    assert "timeout" in end.cause


async def test_what_is_told_twice_or_of_validation_does_not_count(index_file: Path) -> None:
    run = owner(index_file)
    validation = Judged.of(Row(1, 1), 2, "u_1", False, Comparison(Outcome.WIN), Writing(3, 0.0))
    assert run.record([judged(1, step=2), validation, judged(1, step=2)]) == [True, False, False]


def test_a_kill_in_the_middle_of_a_commit_leaves_a_whole_file_that_the_journal_leads_to() -> None:
    assert kill_commits(kills=12, samples=500) == 0


def test_what_is_measured_of_commits_are_commits() -> None:
    figures = measure_commits(samples=200, outcomes=64, commits=2)
    assert 0 < figures.commit_s <= figures.longest_commit_s
