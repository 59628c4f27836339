"""Trainings whose judge fails now and then, and for good."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from writing_rl.curriculum.index_file import read_index
from writing_rl.summary import read_metrics

STEP = 16  # comparisons: 4 prompts with 4 rollouts each
SETTINGS = [
    "trainer.val_before_train=false",
    "writing_rl.judge.max_retries=0",
    "writing_rl.judge.ask_again=0",
    "writing_rl.judge.deadline_s=5",
]


def transcript(folder: Path) -> list[dict]:
    parts = sorted((folder / "logs" / "trial" / "judge").glob("*.jsonl"))
    return [json.loads(line) for part in parts for line in part.read_text().splitlines()]


def advantages(lines: list[dict]) -> list[float]:
    """GRPO's advantages of the rollouts of a step that may train, from the transcript alone."""
    groups: dict[str, list[float]] = {}
    for line in lines:
        if line["outcome"] != "unscored":
            reward = {"win": 1.0, "tie": 0.5, "loss": 0.0}[line["outcome"]]
            groups.setdefault(line["rollout"].split("_")[0], []).append(reward)
    return [
        (reward - statistics.fmean(rewards)) / (statistics.stdev(rewards) + 1e-6)
        for rewards in groups.values()
        if len(rewards) > 1
        for reward in rewards
    ]


def judged_by(server) -> list[str]:
    return ["writing_rl.judge.model=a-model", f"writing_rl.judge.base_url={server.url}", *SETTINGS]


def test_a_judge_with_faults_trains_on_what_it_did_judge(start_training, judge_server, reply):
    faults = [reply("I like both."), reply(status=500), reply(status=429), reply(hang=True)]

    def choose(number: int):
        if number % 5:
            return reply("[[B]]" if number % 2 else "[[A]]")
        return faults[number // 5 % len(faults)]

    judge_server.choose = choose
    run = start_training(*judged_by(judge_server))
    assert run.wait() == 0, run.story

    lines = transcript(run.folder)
    assert len(lines) == 2 * STEP
    unscored = [line["reason"] for line in lines if line["outcome"] == "unscored"]
    assert {"no_verdict", "http_500", "http_429", "timeout"} == set(unscored)
    steps = [step for step in read_metrics(run.folder / "logs" / "trial") if "writing_rl/win_rate" in step]
    assert [step["writing_rl/unscored_rate"] * STEP for step in steps] == [
        sum(line["outcome"] == "unscored" for line in lines if line["step"] == number) for number in (1, 2)
    ]
    for step in steps:
        # What the actor receives is exactly what was judged, and nothing that was made up.
        expected = advantages([line for line in lines if line["step"] == step["step"]])
        assert step["critic/advantages/max"] == pytest.approx(max(expected), abs=1e-4)
        assert step["critic/advantages/min"] == pytest.approx(min(expected), abs=1e-4)


def test_a_judge_that_dies_ends_the_run_whole_and_a_later_start_goes_on(start_training, judge_server, reply):
    preflight, dies_after = 1, STEP + 3

    def choose(number: int):
        return reply("[[B]]") if number <= preflight + dies_after else reply(status=500)

    judge_server.choose = choose
    settings = [*judged_by(judge_server), "writing_rl.judge.unscored_window=8", "writing_rl.judge.parallel=1"]
    run = start_training(*settings, "trainer.total_training_steps=3")
    assert run.wait() == 1, run.story
    (error,) = [line for line in run.lines if line.startswith("Error: ")]
    assert "most of them for http_500 (the last message: " in error
    assert "step 1 is saved" in error
    checkpoint = run.folder / "checkpoints" / "trial"
    assert (checkpoint / "latest_checkpointed_iteration.txt").read_text() == "1"
    index_file = run.folder / "running_file" / "index_trial.json"
    kept = read_index(index_file)
    assert sum(kept.values()) == 4  # the four prompts of the first step, which all won
    assert read_index(checkpoint / "global_step_1" / "reference_index.json") == kept
    given_up = {line["id"] for line in transcript(run.folder) if line["step"] == 2}
    assert len(judge_server.requests) < preflight + 2 * STEP  # no call once the judge was given up

    judge_server.choose = lambda _: reply("[[B]]")
    resumed = start_training(*settings, "trainer.total_training_steps=2")
    assert resumed.wait() == 0, resumed.story
    # The same prompts as in the step that was given up: no batch is lost, and none is repeated.
    repeated = [line for line in transcript(run.folder) if line["step"] == 2 and line["outcome"] == "win"]
    won = {line["id"] for line in repeated[3:]}
    assert given_up <= won
    assert len(won) == 4
    assert sum(read_index(index_file).values()) == 8


def test_a_step_without_a_verdict_is_passed_over(start_training, judge_server, reply):
    judge_server.choose = lambda number: reply("[[B]]") if number == 1 or number > 1 + STEP else reply("Hm.")
    run = start_training(*judged_by(judge_server))
    assert run.wait() == 0, run.story
    assert "step 1: nothing to learn from (no_verdict 16)" in run.output
    first, second = [step for step in read_metrics(run.folder / "logs" / "trial") if step["step"] in (1, 2)]
    assert first["writing_rl/unscored_rate"] == 1
    assert "actor/pg_loss" not in first
    assert second["writing_rl/win_rate"] == 1
    assert "actor/pg_loss" in second
