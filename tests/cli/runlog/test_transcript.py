from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

from writing_rl.judging.client.chat_model import Answer
from writing_rl.judging.compare import Call, Comparison
from writing_rl.judging.verdict import Outcome, Verdict
from writing_rl.runlog.transcript import Transcript

COMPARISON = Comparison(
    Outcome.WIN,
    (Outcome.WIN,),
    calls=(
        Call("judge-1", Verdict.B, Answer("Unsure.\n— «Ende»", 100, 20, latency_s=0.25), None),
        Call("judge-1", Verdict.B, Answer("[[B]]", 130, 5, latency_s=0.1234, cost_usd=0.5), Verdict.B),
    ),
)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.iterdir()) for line in path.read_text().splitlines()]


def _write_many(folder: str, worker: int) -> None:
    transcript = Transcript(Path(folder), characters=5000)
    for number in range(50):
        transcript.write(COMPARISON, {"worker": worker, "number": number}, {"response": "x" * 5000})


def test_lines_of_several_workers_never_mix(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write_many, args=(str(tmp_path), worker)) for worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert {(line["worker"], line["number"]) for line in lines(tmp_path)} == {
        (worker, number) for worker in range(4) for number in range(50)
    }
