"""The one owner of the curriculum in a run: a Ray actor that all reward workers and the trainer ask."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from writing_rl.curriculum.index_file import write_index
from writing_rl.curriculum.journal import Journal
from writing_rl.curriculum.live_file import Found, SharedIndexFile
from writing_rl.curriculum.lock import RunLock
from writing_rl.curriculum.messages import OWNER, End, Judged, Row
from writing_rl.curriculum.rules import Promotion
from writing_rl.curriculum.state import Curriculum, Move, Saved
from writing_rl.dataset.samples import SampleKeys
from writing_rl.judging.circuit_breaker import Breaker
from writing_rl.judging.usage import Usage
from writing_rl.text import attacks, statistics
from writing_rl.text.statistics import Writing
from writing_rl.util.console import say

if TYPE_CHECKING:
    import ray

#: Samples that a message about edits names.
MOST_NAMED = 10


class ReferenceOwner:
    """Keeps what there can be only one of in a run: curriculum and index file, and whether judging goes on.

    See `Curriculum` and `Breaker` for the meaning of each call. Files are read and written in a thread, so
    that those who judge never wait for a disk.
    """

    def __init__(
        self,
        path: str,
        keys: SampleKeys,
        references: Mapping[str, int],
        indexes: Mapping[str, int],
        promotion: Promotion,
        breaker: Breaker,
    ) -> None:
        self._path = Path(path)
        self._references = references
        self._keys = keys
        self._lock = RunLock(path)
        self._lock.acquire()
        self._journal = Journal(path)
        self._curriculum = Curriculum(references, indexes, promotion)
        self._breaker = breaker
        self._usage: dict[int, list[Usage]] = defaultdict(list)
        self._texts: dict[int, list[Writing]] = defaultdict(list)
        self._complete = False
        self._ended = asyncio.Event()
        self._file: SharedIndexFile | None = None
        self._committing = asyncio.Lock()

    def assign(self, step: int, rows: Sequence[Row]) -> list[int]:
        """The index of the reference that the rollouts of each sample are compared with in a step."""
        return [self._curriculum.assign(step, self._keys.key(row.id, row.index)) for row in rows]

    def record(self, rollouts: Sequence[Judged]) -> list[bool]:
        """Notes what came of some rollouts.

        Returns:
            For each of them, whether it counts: it is of training, and was not told before.
        """
        news = [self._record(judged) for judged in rollouts]
        if self._breaker.cause is not None:
            self._ended.set()
        return news

    def stop(self, cause: str, complete: bool = False) -> None:
        """Ends judging in this run; the trainer learns of it at the end of its step or validation.

        Args:
            cause: Why.
            complete: Whether a limit that was set for the run is reached, which is no failure.
        """
        if self._breaker.cause is None:
            self._complete = complete
        self._breaker.trip(cause)
        self._ended.set()

    async def ended(self) -> None:
        """Returns once judging has ended in this run."""
        await self._ended.wait()

    def stopped(self) -> End | None:
        """Why judging has ended in this run, or None."""
        return End(self._breaker.cause, self._complete) if self._breaker.cause is not None else None

    async def look(self, step: int) -> None:
        """Takes up what a person has changed in the file since the last step.

        Args:
            step: The last step that is complete.

        Raises:
            IndexFileError: Journal or file cannot be written.
        """
        async with self._committing:
            if self._file is not None:
                await self._settle(step, await asyncio.to_thread(self._file.look))

    async def commit(self, step: int) -> dict[str, float]:
        """Ends a step; when this returns, journal and file are on the disk.

        Returns:
            The step's figures under the names of the README's table "Logged metrics".

        Raises:
            IndexFileError: Journal or file cannot be written.
        """
        await self.look(step)
        async with self._committing:
            report = self._curriculum.commit(step)
            await self._write(step, report.moves)
        usage = Usage.total(self._usage.pop(step, []))
        texts = self._texts.pop(step, [])
        for figures in (self._usage, self._texts):
            for stale in [other for other in figures if other < step]:
                del figures[stale]
        attacked = attacks.metrics([text.attacks for text in texts])
        return {**report.metrics(), **usage.metrics(), **statistics.metrics(texts), **attacked}

    async def begin(self, step: int, total_steps: int, saved: Saved | None = None) -> int:
        """Begins a run, once it is known where it begins; brings file, journal and curriculum together.

        Args:
            step: The last step that is complete, 0 in a new run.
            total_steps: Steps of the whole training.
            saved: The state of that step, which counts whatever the file holds; None: the file counts.

        Returns:
            How many samples stand elsewhere than the file had them.

        Raises:
            IndexFileError: The journal is damaged, or a file cannot be written.
        """
        self._curriculum.total_steps = total_steps
        if saved is None:
            indexes = self._journal.begin(step, self._curriculum.indexes)
            moved = self._curriculum.restore(Saved(indexes)) if indexes != self._curriculum.indexes else []
        else:
            moved = self._curriculum.restore(saved)
            self._journal.resume(step, self._curriculum.indexes)
            write_index(self._path, self._curriculum.indexes)
        self._file = SharedIndexFile(self._path, self._curriculum.indexes, self._references)
        await self.look(step)
        return len(moved)

    def save(self) -> Saved:
        """What a checkpoint keeps."""
        return self._curriculum.save()

    def finished(self) -> list[str]:
        """The samples that have beaten their last reference."""
        return sorted(self._curriculum.finished)

    async def _write(self, step: int, moves: Sequence[Move]) -> None:
        """Puts moves on the disk: first into the journal, so that a kill in between can be made good."""
        if moves and self._file is not None:
            await asyncio.to_thread(self._journal.append, step, moves)
            await self._settle(step, await asyncio.to_thread(self._file.write, moves))

    async def _settle(self, step: int, found: Found) -> None:
        """Takes up what others made of the file, also while we write it."""
        while found and self._file is not None:
            if found.fault:
                say(f"[writing-rl] {found.fault}. The run goes on with its last good state.")
            moves = self._curriculum.edit(found.edits)
            if moves:
                say(f"[writing-rl] by hand in {self._path}, from step {step + 1} on: {_named(moves)}")
                await asyncio.to_thread(self._journal.append, step, moves)
            found = await asyncio.to_thread(self._file.write, moves)

    def _record(self, judged: Judged) -> bool:
        self._breaker.note(judged.comparison)
        key, outcome = self._keys.key(judged.row.id, judged.row.index), judged.comparison.outcome
        if not judged.training or not self._curriculum.record(judged.step, key, judged.rollout, outcome):
            return False
        self._usage[judged.step].append(judged.usage)
        self._texts[judged.step].append(judged.writing)
        return True


def _named(moves: Sequence[Move]) -> str:
    named = ", ".join(f"{move.key}: {move.before} -> {move.after}" for move in moves[:MOST_NAMED])
    return named + (f" and {len(moves) - MOST_NAMED} more" if len(moves) > MOST_NAMED else "")


def start_owner(*args: Any) -> ray.actor.ActorHandle:
    """Starts the owner; call it once in a run, with the arguments of `ReferenceOwner`.

    It gets no restarts: a new owner would not know the outcomes of the step, so its death ends the run.
    """
    import ray

    return ray.remote(ReferenceOwner).options(name=OWNER, num_cpus=0, max_restarts=0).remote(*args)
