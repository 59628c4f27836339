"""Trainings whose judge fails now and then, and for good."""

from __future__ import annotations

import json
import shutil
import statistics
from pathlib import Path

import pytest

from writing_rl.curriculum.index_file import read_index
from writing_rl.runlog.summary import read_metrics

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


def received_by_the_actor(folder: Path) -> dict[int, dict[str, dict[str, list[float]]]]:
    """Step -> rollout -> field -> values by token, as the recorder wrote them down."""
    steps = [json.loads(line) for line in (folder / "actor.jsonl").read_text().splitlines()]
    received = {}
    for step in steps:
        # verl fills a batch up to a round number with rollouts that are masked, and so teach nothing.
        filling = {key for key in step["rollouts"] if key.startswith("pad")}
        assert not any(any(step["rollouts"][key]["response_mask"]) for key in filling)
        received[step["step"]] = {
            key: fields for key, fields in step["rollouts"].items() if key not in filling
        }
    return received


def recording(folder: Path) -> dict[str, str]:
    return {
        "PYTHONPATH": str(Path(__file__).with_name("recorder")),
        "RECORD_ACTOR": str(folder / "actor.jsonl"),
    }


def scored_in(lines: list[dict], step: int) -> dict[str, float]:
    """Rollout -> reward, of those that the judge gave a verdict."""
    rewards = {"win": 1.0, "tie": 0.5, "loss": 0.0}
    return {
        line["rollout"]: rewards[line["outcome"]]
        for line in lines
        if line["step"] == step and line["outcome"] != "unscored"
    }


def rollout_of(key: str) -> str:
    """The transcript's name of a rollout, from verl's key `uid_session_turn`."""
    return "_".join(key.split("_")[:2])


def faulty(reply):
    """A judge that fails in every fifth request, each time in another way."""
    faults = [reply("I like both."), reply(status=500), reply(status=429), reply(hang=True)]

    def choose(number: int):
        if number % 5:
            return reply("[[B]]" if number % 2 else "[[A]]")
        return faults[number // 5 % len(faults)]

    return choose


def judged_by(server) -> list[str]:
    return ["writing_rl.judge.model=a-model", f"writing_rl.judge.base_url={server.url}", *SETTINGS]


def test_grpo_learns_from_what_a_faulty_judge_did_judge(start_training, judge_server, reply, tmp_path):
    judge_server.choose = faulty(reply)
    run = start_training(*judged_by(judge_server), **recording(tmp_path))
    assert run.wait() == 0, run.story

    lines = transcript(run.folder)
    assert len(lines) == 2 * STEP
    unscored = [line["reason"] for line in lines if line["outcome"] == "unscored"]
    assert {"no_verdict", "http_500", "http_429", "timeout"} == set(unscored)
    steps = [step for step in read_metrics(run.folder / "logs" / "trial") if "writing_rl/win_rate" in step]
    assert [step["writing_rl/unscored_rate"] * STEP for step in steps] == [
        sum(line["outcome"] == "unscored" for line in lines if line["step"] == number) for number in (1, 2)
    ]
    received = received_by_the_actor(run.folder)
    assert set(received) == {1, 2}
    for step, rollouts in received.items():
        groups: dict[str, dict[str, float]] = {}
        for rollout, reward in scored_in(lines, step).items():
            groups.setdefault(rollout.split("_")[0], {})[rollout] = reward
        # Exactly what was judged, and nothing that was made up: means and deviations are those of the rest.
        expected = {
            rollout: (reward - statistics.fmean(group.values())) / (statistics.stdev(group.values()) + 1e-6)
            for group in groups.values()
            if len(group) > 1
            for rollout, reward in group.items()
        }
        assert {rollout_of(key) for key in rollouts} == set(expected)
        assert len(rollouts) == len(expected)
        for key, fields in rollouts.items():
            assert fields["advantages"] == pytest.approx(
                [expected[rollout_of(key)]] * len(fields["advantages"]), abs=1e-4
            )


@pytest.mark.nightly  # of the replay buffer and the trainer GRPO uses the same, and groups besides
def test_ppo_learns_from_what_a_faulty_judge_did_judge(start_training, judge_server, reply, tmp_path):
    judge_server.choose = faulty(reply)
    ppo = [
        "algorithm.adv_estimator=gae",
        "actor_rollout_ref.rollout.n=1",
        "data.train_batch_size=16",
        "actor_rollout_ref.actor.ppo_mini_batch_size=16",
    ]
    run = start_training(*judged_by(judge_server), *ppo, **recording(tmp_path))
    assert run.wait() == 0, run.story

    lines = transcript(run.folder)
    assert any(line["outcome"] == "unscored" for line in lines)
    received = received_by_the_actor(run.folder)
    assert set(received) == {1, 2}
    for step, rollouts in received.items():
        scored = scored_in(lines, step)
        assert {rollout_of(key) for key in rollouts} == set(scored)
        # GAE with gamma = lambda = 1 is what is still to come less what the critic expects; verl whitens it
        # over all tokens that train. An unscored rollout among them would shift every one.
        raw = {
            key: [scored[rollout_of(key)] - value for value in fields["values"]]
            for key, fields in rollouts.items()
        }
        tokens = [value for values in raw.values() for value in values]
        mean, deviation = statistics.fmean(tokens), statistics.stdev(tokens)
        for key, fields in rollouts.items():
            expected = [(value - mean) / deviation for value in raw[key]]
            assert fields["advantages"] == pytest.approx(expected, abs=1e-3)


def test_a_judge_that_dies_ends_the_run_whole_and_a_later_start_goes_on(start_training, judge_server, reply):
    preflight, dies_after = 1, STEP + 3

    def choose(number: int):
        # Slow enough for the news of failures to reach the owner while there are texts left to judge.
        return reply("[[B]]") if number <= preflight + dies_after else reply(status=500, delay_s=0.2)

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


@pytest.mark.nightly  # ends and goes on as a run whose judge dies does; that is tried every time
def test_a_budget_ends_the_run_whole_and_a_larger_one_goes_on(start_training, judge_server, reply):
    judge_server.replies = [reply("[[B]]")]
    settings = [*judged_by(judge_server), "trainer.total_training_steps=3"]
    run = start_training(*settings, f"writing_rl.judge.max_calls={STEP + 3}")
    assert run.wait() == 0, run.story
    (end,) = [line for line in run.lines if line.startswith("[writing-rl] ended before its last step: ")]
    assert "the budget is spent: 19 calls, max_calls is reached" in end
    assert end.endswith("step 1 is saved: start the run again to go on from there")
    preflight = 1
    assert len(judge_server.requests) == preflight + STEP + 3
    checkpoint = run.folder / "checkpoints" / "trial"
    assert (checkpoint / "latest_checkpointed_iteration.txt").read_text() == "1"
    spent = json.loads((run.folder / "logs" / "trial" / "judge" / "spent.json").read_text())
    assert spent["calls"] == STEP + 3

    refused = start_training(*settings, f"writing_rl.judge.max_calls={STEP + 3}")
    assert refused.wait() == 1
    assert "the judge's budget is spent: 19 of writing_rl.judge.max_calls=19" in refused.lines[-1]

    resumed = start_training(*settings, "trainer.total_training_steps=2", "writing_rl.judge.max_calls=100")
    assert resumed.wait() == 0, resumed.story
    steps = [step for step in read_metrics(run.folder / "logs" / "trial") if "critic/score/mean" in step]
    assert [step["step"] for step in steps] == [1, 2]
    assert steps[-1]["writing_rl/judge/total_calls"] == 2 * STEP + 3


def test_a_judge_that_verl_serves_is_asked_in_its_own_vllm(start_training, material, tmp_path):
    # A model that can judge does not fit here; that it was really asked shows in what it says.
    judge = shutil.copytree(material / "base_model", tmp_path / "judge")
    for name, limit in (("config", "max_position_embeddings"), ("tokenizer_config", "model_max_length")):
        file = judge / f"{name}.json"  # the instructions alone are longer than what the policy reads
        file.write_text(json.dumps(json.loads(file.read_text()) | {limit: 2048}))
    model = [
        f"reward.reward_model.model_path={judge}",
        "reward.reward_model.rollout.max_model_len=2048",
        "reward.reward_model.rollout.prompt_length=1900",
        "writing_rl.judge.max_tokens=32",
        "writing_rl.judge.max_unscored_share=1",
    ]
    run = start_training(
        "judge=verl", *model, "trainer.val_before_train=false", "writing_rl.judge.ask_again=0"
    )
    assert run.wait() == 0, run.story
    lines = transcript(run.folder)
    assert len(lines) == 2 * STEP
    assert {line["reason"] for line in lines} <= {"no_verdict", "truncated", "empty"}
    answers = [call for line in lines for call in line["calls"]]
    assert answers
    assert {call["judge"] for call in answers} == {"verl"}
    assert all(call["completion_tokens"] > 0 and call["cost_usd"] == 0 for call in answers)
    assert "step 2: nothing to learn from" in run.output
