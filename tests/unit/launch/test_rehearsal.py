from __future__ import annotations

import json
from pathlib import Path

import pytest

from writing_rl.launch.forecast import Measured, Plan, Rehearsed, forecast
from writing_rl.launch.rehearsal import Rehearsal, as_json, checkpoint_bytes, report
from writing_rl.runlog.phase_log import Peak

PLAN = Plan(
    steps=405,
    texts=32,
    test_texts=64,
    validations=10,
    saves=9,
    kept=2,
    save_freq=50,
    requests=1,
    parallel=64,
    full_tokens=10_000,
    reference_tokens=2_500.0,
)


def step(tokens: float, seconds: float) -> Measured:
    return Measured(tokens, {"rollout": seconds / 2, "update": seconds / 2, "save": 30.0, "step": seconds})


@pytest.fixture
def rehearsal() -> Rehearsal:
    steps = Rehearsed(step(10_000, 400.0), step(2_000, 130.0), step(2_000, 100.0), start_s=300.0)
    peaks = {"rollout": Peak(90 * 10**9, 50 * 10**9), "update": Peak(220 * 10**9, 61 * 10**9)}
    ends = [forecast(PLAN, steps, tokens, None) for tokens in (10_000, 2_500)]
    return Rehearsal(PLAN, steps, peaks, peaks, 183 * 10**9, ends[0], ends[1])


def test_the_report_holds_memory_times_and_forecasts(rehearsal: Rehearsal) -> None:
    lines = [" ".join(line.split()) for line in report(rehearsal).splitlines()]
    assert "update 200.0 50.0 61.0 61.0 220.0 220.0" in lines
    assert any(line.startswith("judge calls 13,600 13,600") for line in lines)
    assert any(line.startswith("a crash costs at most (50 steps) ") for line in lines)
    assert lines[-1].startswith("A checkpoint takes 183,000,000,000 bytes (183.00 GB); 9 are written, 2 lie ")


def test_programs_read_the_same_from_json(rehearsal: Rehearsal) -> None:
    content = json.loads(as_json(rehearsal))
    assert content["plan"]["calls"] == 13_600
    assert content["at_full"]["hours"] > content["at_references"]["hours"] > 0


def test_a_checkpoint_is_the_files_of_its_models(tmp_path: Path) -> None:
    for place, size in {
        "actor/a.pt": 5,
        "actor/extra_state_rank_0.pt": 50,
        "actor/huggingface/b.json": 7,
        "critic/c.pt": 11,
        "data.pt": 100,
    }.items():
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    assert checkpoint_bytes(tmp_path) == 23
