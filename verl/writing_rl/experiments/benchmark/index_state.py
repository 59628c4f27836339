"""Measuring the curriculum's state: loading, committing, many workers at once, and kills."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from writing_rl.curriculum.index_file import check_index, read_index, write_index
from writing_rl.curriculum.journal import journal_of, read_journal, rebuild
from writing_rl.curriculum.messages import Judged, Row, connect, records
from writing_rl.curriculum.owner import ReferenceOwner, start_owner
from writing_rl.curriculum.rules import Promotion
from writing_rl.dataset.samples import SampleKeys
from writing_rl.judging.circuit_breaker import Breaker
from writing_rl.judging.client.chat_model import Answer
from writing_rl.judging.compare import Call, Comparison
from writing_rl.judging.verdict import Outcome, Verdict
from writing_rl.text.statistics import Writing

#: References of each sample: enough for samples to move in every step that is measured.
REFERENCES = 1000
#: Rollouts of a sample in a step.
ROLLOUTS = 8


@dataclass(frozen=True)
class CommitFigures:
    """Of one process with a state of some size.

    Attributes:
        load_s: Seconds until references can be assigned: the file read and checked.
        begin_s: Seconds of the start's other work: journal, and the file's content made for later writes.
        commit_s: Seconds of a commit, the median of some.
        longest_commit_s: Of the longest of them.
        longest_wait_s: Longest time that a lookup had to wait while commits were under way.
        memory_mb: Most memory that the process had, with everything that it imports.
    """

    load_s: float
    begin_s: float
    commit_s: float
    longest_commit_s: float
    longest_wait_s: float
    memory_mb: float


def judged(id: int, step: int, rollout: str, outcome: Outcome = Outcome.WIN) -> Judged:
    """A rollout of training as a reward worker tells of it."""
    answer = Answer("", prompt_tokens=4000, completion_tokens=300, latency_s=1.5)
    call = Call("judge", Verdict.B, answer, Verdict.B)
    comparison = Comparison(outcome, votes=(outcome,), calls=(call,))
    return Judged.of(Row(id, id), step, rollout, True, comparison, Writing(1500, 0.01))


def open_owner(path: Path) -> ReferenceOwner:
    """The owner of an index file, as a training makes it; in this process, without Ray."""
    indexes = read_index(path)
    references = dict.fromkeys(indexes, REFERENCES)
    check_index(path, indexes, references)
    return ReferenceOwner(
        str(path), SampleKeys(by_index=False), references, indexes, Promotion(), Breaker(1.0, 64)
    )


def measure_commits(samples: int, outcomes: int = 1024, commits: int = 9) -> CommitFigures:
    """Measures a state of some size in a process of its own."""
    code = f"import sys; from {__name__} import print_commits; print_commits(*sys.argv[1:])"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "index_benchmark.json")
        write_index(path, dict.fromkeys(map(str, range(samples)), 0))
        command = [sys.executable, "-c", code, str(path), str(outcomes), str(commits)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return CommitFigures(**json.loads(output.splitlines()[-1]))


def print_commits(path: str, outcomes: str, commits: str) -> None:
    """What `measure_commits` runs."""
    figures = asyncio.run(_commits(Path(path), int(outcomes), int(commits)))
    print(json.dumps(figures))


async def _commits(path: Path, outcomes: int, commits: int) -> dict[str, float]:
    started = time.perf_counter()
    owner = open_owner(path)
    loaded = time.perf_counter()
    await owner.begin(0, 100)
    begun = time.perf_counter()
    samples = len(owner.save().indexes)
    draw = random.Random(0)
    times: list[float] = []
    waits: list[float] = []

    async def look_up() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0)
            owner.assign(10**9, [Row(0, 0)])
            waits.append(time.perf_counter() - before)
            await asyncio.sleep(0.001)

    lookups = asyncio.ensure_future(look_up())
    for step in range(1, commits + 1):
        for id in draw.sample(range(samples), min(samples, outcomes // ROLLOUTS)):
            owner.record([judged(id, step, f"u_{session}") for session in range(ROLLOUTS)])
        before = time.perf_counter()
        await owner.commit(step)
        times.append(time.perf_counter() - before)
    lookups.cancel()
    return {
        "load_s": loaded - started,
        "begin_s": begun - loaded,
        "commit_s": statistics.median(times),
        "longest_commit_s": max(times),
        "longest_wait_s": max(waits),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


@dataclass(frozen=True)
class RateFigures:
    """Of many workers at once.

    Attributes:
        rate: Lookups with their outcomes, a second.
        told: Outcomes in all.
        lost: Outcomes that the owner does not know of.
    """

    rate: float
    told: int
    lost: int


def measure_rate(workers: int = 8, outcomes: int = 100_000, steps: int = 4) -> RateFigures:
    """Has `workers` processes ask for references and tell outcomes at once; Ray must be initialized."""
    import ray

    samples = outcomes // steps // ROLLOUTS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "index_benchmark.json")
        indexes = dict.fromkeys(map(str, range(samples)), 0)
        write_index(path, indexes)
        references = dict.fromkeys(indexes, REFERENCES)
        owner = start_owner(
            str(path), SampleKeys(by_index=False), references, indexes, Promotion(), Breaker(1.0, 64)
        )
        ray.get(owner.begin.remote(0, steps))
        actors = [ray.remote(num_cpus=0)(RateWorker).remote() for _ in range(workers)]
        ray.get([actor.tell.remote([(0, "warm-up")], 0) for actor in actors])
        rollouts = [(id, f"u_{session}") for id in range(samples) for session in range(ROLLOUTS)]
        known = 0
        elapsed_s = 0.0
        for step in range(1, steps + 1):
            started = time.perf_counter()
            ray.get([actor.tell.remote(rollouts[n::workers], step) for n, actor in enumerate(actors)])
            elapsed_s += time.perf_counter() - started
            known += int(ray.get(owner.commit.remote(step))["writing_rl/judge/calls"])
        assert set(read_index(path).values()) == {steps}  # all of them won every step
        for actor in [*actors, owner]:
            ray.kill(actor)
    told = len(rollouts) * steps
    return RateFigures(told / elapsed_s, told, told - known)


class RateWorker:
    """What a run does apart from writing and judging."""

    async def tell(self, rollouts: Sequence[tuple[int, str]], step: int) -> list[tuple[int, int]]:
        """Looks the reference of each rollout up, as the trainer does, and tells that it won, as reward
        workers do; returns sample and reference."""
        owner = connect()
        references = await owner.assign.remote(step, [Row(id, id) for id, _ in rollouts])
        recorded = records(owner)
        await asyncio.gather(*(recorded.ask(judged(id, step, rollout)) for id, rollout in rollouts))
        return [(id, reference) for (id, _), reference in zip(rollouts, references, strict=True)]


def kill_commits(kills: int, samples: int = 5000, seed: int = 0) -> int:
    """Kills a process again and again while it commits; each time it goes on where it was.

    Returns:
        How often the file was not whole, or not what the journal leads to once the next process had begun.
    """
    draw = random.Random(seed)
    wrong = 0
    code = f"import sys; from {__name__} import commit_for_ever; commit_for_ever(sys.argv[1])"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "index_benchmark.json")
        write_index(path, dict.fromkeys(map(str, range(samples)), 0))
        for _ in range(kills + 1):
            with subprocess.Popen(
                [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
            ) as process:
                assert process.stdout is not None
                process.stdout.readline()
                # The new process has put together what the last kill left behind, and waits for our word.
                state = read_index(path)
                wrong += len(state) != samples or state != rebuild(read_journal(journal_of(path)))
                os.kill(process.pid, signal.SIGUSR1)
                time.sleep(draw.uniform(0, 0.05))  # any moment is a good one
                process.kill()
    return wrong


def commit_for_ever(path: str) -> None:
    """What `kill_commits` kills."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    asyncio.run(_commit_for_ever(Path(path)))


async def _commit_for_ever(path: Path) -> None:
    owner = open_owner(path)
    entries = read_journal(journal_of(path)) if journal_of(path).exists() else []
    step = max((int(str(entry["step"])) for entry in entries), default=0)
    await owner.begin(step, 10**9)
    samples = len(owner.save().indexes)
    print("begun", flush=True)
    signal.sigwait({signal.SIGUSR1})
    draw = random.Random(step)
    while True:
        step += 1
        owner.record([judged(id, step, "u_0") for id in draw.sample(range(samples), 128)])
        await owner.commit(step)
