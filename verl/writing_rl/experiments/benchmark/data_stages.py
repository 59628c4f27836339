"""Measuring the way from raw prompts to a training set: time, memory, and what a kill costs."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from writing_rl.experiments.benchmark.mock_judge import get, running
from writing_rl.experiments.benchmark.schedule import best_makespan

COMMAND = (sys.executable, "-m", "writing_rl.cli")

#: Words to make texts of; a text of them has no near-duplicate.
WORDS = (
    "sea",
    "boat",
    "tide",
    "letter",
    "harbour",
    "lamp",
    "winter",
    "song",
    "stone",
    "bread",
    "road",
    "hill",
)

#: What the mock judge ends with: a grade for each default criterion.
GRADES = "[[7, 6, 8, 7, 7]]"


@dataclass(frozen=True)
class Ran:
    """A script that came to its end.

    Attributes:
        seconds: How long it took.
        memory_mb: Most memory that it had.
    """

    seconds: float
    memory_mb: float


@dataclass(frozen=True)
class Graded:
    """A grading against the mock judge.

    Attributes:
        seconds: From the first request to the last answer.
        whole_s: Of the whole script, which also starts, reads and writes.
        best_s: The best schedule of the same latencies in the order of arrival.
        most: Most requests in flight.
        cpu_ms: CPU of the script for each grade.
    """

    seconds: float
    whole_s: float
    best_s: float
    most: int
    cpu_ms: float


@dataclass(frozen=True)
class Killed:
    """A grading that was killed some times, and then came to its end.

    Attributes:
        kills: How often.
        repeated: Calls that were made more than once.
        most: Requests that were in flight at most at all these moments together.
        graded: Lines of the file with a grade at the end.
    """

    kills: int
    repeated: int
    most: int
    graded: int


def measure_preparation(prompts: int, responses: int, words: int) -> tuple[int, Ran, Ran]:
    """Prepares and checks a set with given scores.

    Returns:
        The size of the input in bytes, and what `data prepare` and `data check` took.
    """
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder, "prompts.jsonl")
        write_prompts(given, prompts, responses, words)
        out = Path(folder, "out")
        prepared = run(["data", "prepare", str(given), "--output", str(out)])
        checked = run(["data", "check", "--data-dir", str(out)])
        return given.stat().st_size, prepared, checked


def measure_grading(texts: int, parallel: int, mean_s: float) -> Graded:
    """Has texts graded by the mock judge."""
    with tempfile.TemporaryDirectory() as folder, running(mean_s=mean_s, last_line=GRADES) as address:
        given = Path(folder, "prompts.jsonl")
        write_prompts(given, texts // 4, 4, 200)
        began, cpu_s = time.monotonic(), os.times().children_user + os.times().children_system
        run(_grading(given, Path(folder, "out"), address, parallel))
        whole_s = time.monotonic() - began
        cpu_s = os.times().children_user + os.times().children_system - cpu_s
        seen = get(f"{address}/figures")
        best_s = best_makespan(seen["latencies_s"], parallel)
        return Graded(seen["span_s"], whole_s, best_s, seen["most"], 1000 * cpu_s / texts)


def measure_kills(texts: int, parallel: int, kills: int) -> Killed:
    """Kills a grading at random moments, starting it again each time."""
    draw = random.Random(0)
    with tempfile.TemporaryDirectory() as folder, running(mean_s=0.3, last_line=GRADES) as address:
        given, out = Path(folder, "prompts.jsonl"), Path(folder, "out")
        write_prompts(given, texts // 4, 4, 50)
        command = _command(_grading(given, out, address, parallel))
        expected_s = texts * 0.3 / parallel
        done = 0
        while done < kills:
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                seen = len(get(f"{address}/figures")["latencies_s"])
                # The clock runs from the first request on: a kill before it costs nothing.
                while process.poll() is None and len(get(f"{address}/figures")["latencies_s"]) == seen:
                    time.sleep(0.02)
                time.sleep(draw.random() * expected_s / (kills + 1))
                if process.poll() is not None:
                    break
                process.send_signal(signal.SIGKILL)
                done += 1
        run(_grading(given, out, address, parallel))
        lines = [json.loads(line) for line in (out / "grades.jsonl").read_text().splitlines()]
        repeated = len(get(f"{address}/figures")["latencies_s"]) - texts
        return Killed(done, repeated, done * parallel, sum(line["grade"] is not None for line in lines))


def write_prompts(path: Path, prompts: int, responses: int, words: int) -> None:
    """Writes a file of prompts with scored responses, all of them different."""
    draw = random.Random(0)
    with open(path, "w", encoding="utf-8") as file:
        for number in range(prompts):
            texts = [
                {
                    "model": f"model-{place}",
                    "text": _text(draw, words),
                    "score": round(2 + place + draw.random(), 3),
                }
                for place in range(responses)
            ]
            entry = {"prompt": f"Write about {_text(draw, 8)}, number {number}.", "responses": texts}
            file.write(json.dumps(entry) + "\n")


def _text(draw: random.Random, words: int) -> str:
    return " ".join(draw.choices(WORDS, k=words)) + "."


def _grading(given: Path, out: Path, address: str, parallel: int) -> list[str]:
    # All grades are the same, so of each prompt's responses one is left.
    options = ["--scores", "grade", "--judge", "mock", "--base-url", f"{address}/v1", "--min-references", "1"]
    return ["data", "prepare", str(given), "--output", str(out), *options, "--parallel", str(parallel)]


def _command(arguments: Sequence[str]) -> list[str]:
    return [*COMMAND, *arguments]


def run(arguments: Sequence[str]) -> Ran:
    """Runs a script to its end.

    Raises:
        RuntimeError: It failed.
    """
    began = time.monotonic()
    process = subprocess.Popen(_command(arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise RuntimeError(f"{arguments[0]} failed: {said.decode(errors='replace')[-500:]}")
    process.returncode = 0
    return Ran(time.monotonic() - began, usage.ru_maxrss / 1024)
