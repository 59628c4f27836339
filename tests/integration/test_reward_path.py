"""verl's reward-loop workers with our manager, Ray and a mock judge, as the benchmark drives them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from verl.experimental.reward_loop.reward_loop import RewardLoopWorker

from writing_rl.curriculum.messages import REFERENCE_COLUMN
from writing_rl.curriculum.owner import start_owner
from writing_rl.curriculum.rules import Promotion
from writing_rl.dataset.samples import SampleKeys
from writing_rl.experiments.benchmark.reward_path import Load, finished, measure
from writing_rl.judging.circuit_breaker import Breaker
from writing_rl.judging.client.slot_actor import start_slots
from writing_rl.launch.compose import compose
from writing_rl.quickstart.base_model import train_base_model
from writing_rl.quickstart.dataset import draw_quickstart


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A checkpoint whose tokenizer knows words."""
    corpus = draw_quickstart(seed=3, train_rows=2, test_rows=2, corpus_texts=150).corpus
    train_base_model(corpus, tmp_path / "model", steps=1)
    return tmp_path / "model"


@pytest.fixture
def local_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("VERL_PLATFORM", "cpu")
    ray.init("local", num_cpus=8, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_requests_in_flight_are_limited_over_all_workers(local_ray: None, model: Path) -> None:
    load = Load(comparisons=60, parallel=4, workers=3, text_tokens=30, mean_s=0.05)
    figures = measure(load, model)
    assert figures.unscored == {}
    assert figures.most == load.parallel
    assert figures.makespan_s >= figures.best_s


def test_faults_are_asked_again_and_answers_are_not(local_ray: None, model: Path) -> None:
    load = Load(comparisons=60, parallel=8, workers=2, text_tokens=30, mean_s=0.02, fault_share=0.2)
    figures = measure(load, model)
    assert figures.repeated == 0
    assert set(figures.unscored) <= {"no_verdict"}  # which is asked again once
    assert sum(figures.unscored.values()) <= 10


def test_one_manager_judges_without_verls_workers(local_ray: None, model: Path) -> None:
    load = Load(comparisons=20, parallel=4, workers=0, text_tokens=30, mean_s=0.0)
    figures = measure(load, model)
    assert figures.unscored == {}
    assert 1 <= figures.most <= 4
    assert figures.best_s > 0  # the client alone


@pytest.fixture
def run(local_ray: None, model: Path, tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    """A configuration with the offline judge, and the run's owner of the curriculum."""
    breaker = Breaker(1.0, 64)
    references, indexes = dict.fromkeys("012", 2), dict.fromkeys("012", 1)
    path = str(tmp_path / "index.json")
    owner = start_owner(path, SampleKeys(by_index=False), references, indexes, Promotion(), breaker)
    slots = start_slots(4)
    config = compose(
        [
            "profile=cpu",
            f"actor_rollout_ref.model.path={model}",
            "writing_rl.judge.model=offline",
            f"writing_rl.log_dir={tmp_path}/logs",
            "trainer.experiment_name=mine",
        ]
    )
    yield config, owner
    ray.kill(owner)
    ray.kill(slots)


@pytest.mark.parametrize(
    "columns",
    [{REFERENCE_COLUMN: None}, {"extra_info": {"index": 2, "split": "test"}}],
    ids=["it sets out without a reference", "its row is of the test set"],
)
def test_a_text_of_validation_leaves_the_curriculum_alone(
    run: tuple[Any, Any], tmp_path: Path, columns: dict[str, Any]
) -> None:
    config, owner = run

    async def judge() -> list[dict[str, Any]]:
        worker = RewardLoopWorker(config, None)
        texts = [finished(1, 30, **{REFERENCE_COLUMN: 1}), finished(2, 30, **columns)]
        return [(await worker.compute_score(text))["reward_extra_info"] for text in texts]

    training, validation = asyncio.run(judge())
    assert (training["reference_index"], validation["reference_index"]) == (1.0, 0.0)
    assert ray.get(owner.commit.remote(1))["writing_rl/judge/calls"] == 1
    (transcript,) = (tmp_path / "logs" / "judge").glob("*.jsonl")
    lines = [json.loads(line) for line in transcript.read_text().splitlines()]
    assert [(line["id"], line["training"]) for line in lines] == [(1, True), (2, False)]


def test_where_judging_has_ended_nothing_is_judged_or_told_any_more(run: tuple[Any, Any]) -> None:
    config, owner = run

    async def judge() -> list[str]:
        worker = RewardLoopWorker(config, None)
        reasons = [(await worker.compute_score(finished(1, 30)))["reward_extra_info"]["reason"]]
        await owner.stop.remote("no judge")
        await asyncio.wait_for(worker.reward_manager.ending, 60)
        return [*reasons, (await worker.compute_score(finished(2, 30)))["reward_extra_info"]["reason"]]

    assert asyncio.run(judge()) == ["", "stopped"]
    assert ray.get(owner.commit.remote(1))["writing_rl/judge/calls"] == 1


def test_a_text_that_lost_its_owner_is_an_error_and_not_stopped(run: tuple[Any, Any]) -> None:
    config, owner = run

    async def judge() -> None:
        worker = RewardLoopWorker(config, None)
        await worker.compute_score(finished(1, 30))
        ray.kill(owner)
        await asyncio.wait([worker.reward_manager.ending], timeout=60)
        await worker.compute_score(finished(2, 30))

    with pytest.raises(ray.exceptions.RayActorError):
        asyncio.run(judge())
