"""Trainings that finish: GRPO, PPO with a critic, two data-parallel ranks, and resuming."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from writing_rl.curriculum.index_file import read_index
from writing_rl.curriculum.journal import journal_of, read_journal, rebuild
from writing_rl.runlog.summary import read_metrics

GRPO = ["actor_rollout_ref.rollout.n=4"]
PPO = ["algorithm.adv_estimator=gae", "actor_rollout_ref.rollout.n=1", "trainer.val_before_train=false"]


def assert_trained(run, steps: int) -> list[dict]:
    """The run has trained: finite losses, a score for every rollout, a whole index file."""
    assert run.wait() == 0, run.story
    figures = [step for step in read_metrics(run.folder / "logs" / "trial") if "critic/score/mean" in step]
    assert [step["step"] for step in figures] == list(range(1, steps + 1))
    for step in figures:
        assert math.isfinite(step["actor/pg_loss"])
        assert 0 <= step["critic/score/mean"] <= 1
        assert step["writing_rl/unscored_rate"] == 0
    index = read_index(run.folder / "running_file" / "index_trial.json")
    assert len(index) == 16
    return figures


def test_grpo_trains_validates_and_saves(start_training):
    run = start_training(*GRPO, "trainer.test_freq=100")
    figures = assert_trained(run, steps=2)
    validation = [
        step for step in read_metrics(run.folder / "logs" / "trial") if any("/win/" in key for key in step)
    ]
    assert [step["step"] for step in validation] == [0, 2]
    assert figures[0]["actor/grad_norm"] >= 0
    checkpoint = run.folder / "checkpoints" / "trial"
    assert (checkpoint / "latest_checkpointed_iteration.txt").read_text() == "2"
    saved = json.loads((checkpoint / "global_step_2" / "reference_index.json").read_text())
    assert saved == read_index(run.folder / "running_file" / "index_trial.json")


def test_ppo_trains_a_critic_and_resumes(start_training):
    run = start_training(*PPO, "trainer.save_freq=1")
    figures = assert_trained(run, steps=2)
    assert all(math.isfinite(step["critic/vf_loss"]) for step in figures)
    index_file: Path = run.folder / "running_file" / "index_trial.json"
    resumed_from = read_index(index_file)
    # The checkpoint's curriculum counts, also where the file is gone (and was made anew by the script).
    index_file.unlink()

    resumed = start_training(*PPO, "trainer.total_training_steps=3")
    assert resumed.wait() == 0, resumed.story
    assert "[writing-rl] the curriculum goes on from" in resumed.output
    journal = read_journal(journal_of(index_file))
    assert rebuild(journal) == read_index(index_file)
    assert rebuild(journal, until_step=2) == resumed_from
    assert {"step": 2, "why": "resumed"} in journal
    assert "manual" not in {entry["why"] for entry in journal}
    after = read_index(index_file)
    assert all(before <= after[key] <= before + 1 for key, before in resumed_from.items())


@pytest.mark.parametrize("ranks", [2])
def test_data_parallel_ranks_train(start_training, ranks):
    run = start_training(
        *GRPO, f"trainer.n_gpus_per_node={ranks}", "reward.num_workers=2", "trainer.val_before_train=false"
    )
    assert_trained(run, steps=2)
