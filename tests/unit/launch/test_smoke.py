from __future__ import annotations

from typing import Any

import pytest
from omegaconf import DictConfig

from writing_rl.errors import RunFailure
from writing_rl.launch import smoke
from writing_rl.launch.compose import compose
from writing_rl.launch.profiles import names
from writing_rl.util.gpus import Gpu


@pytest.fixture(scope="module")
def config() -> DictConfig:
    return compose(["profile=gpu_lora", "trial=smoke", "actor_rollout_ref.model.path=model"])


def test_every_profile_has_its_ranks_on_a_cpu() -> None:
    assert sorted(smoke.CPU_RANKS) == names()


def test_the_table_says_what_was_exercised(config: DictConfig) -> None:
    figures = {1: {"training/rollout_probs_diff_mean": 1e-3}, 2: {"training/rollout_probs_diff_mean": 2e-3}}
    rows = smoke.exercised(config, figures, on_cpu=False)
    assert rows["algorithm"] == "grpo, 8 texts a prompt, KL loss"
    assert rows["LoRA"] == "rank 32"
    assert rows["vLLM"] == "tensor parallel 1, sleep mode on"
    assert "2.0e-03" in rows["weight sync"]


def test_weights_that_did_not_reach_vllm_fail_the_run(config: DictConfig) -> None:
    with pytest.raises(RunFailure, match="its weights are not those that were trained"):
        smoke.exercised(config, {1: {"training/rollout_probs_diff_mean": 0.3}}, on_cpu=True)


@pytest.mark.parametrize("figures", [{1: {}}, {}])
def test_a_run_without_the_figure_fails(config: DictConfig, figures: Any) -> None:
    with pytest.raises(RunFailure, match="no figure"):
        smoke.exercised(config, figures, on_cpu=True)


def test_a_table_is_markdown_with_the_verdict_first() -> None:
    assert smoke.table({"profile": "gpu", "LoRA": "none"}).splitlines() == [
        "| smoke run | passed |",
        "|-----------|---|",
        "| profile   | gpu |",
        "| LoRA      | none |",
    ]


@pytest.mark.parametrize(
    ("count", "gib", "profile"),
    [(0, 0, "gpu"), (8, 80, "gpu"), (4, 80, "gpu_grpo"), (1, 80, "gpu_lora"), (1, 24, "gpu_small")],
)
def test_the_profile_follows_from_the_gpus(
    monkeypatch: pytest.MonkeyPatch, count: int, gib: int, profile: str
) -> None:
    gpus = [Gpu(n, f"GPU-{n}", "card", gib * 1024, gib * 1024, "580.1", (9, 0)) for n in range(count)]
    monkeypatch.setattr(smoke, "visible_gpus", lambda: gpus)
    monkeypatch.setattr("writing_rl.launch.compose.visible_gpus", lambda: gpus)
    assert smoke.default_profile() == profile
