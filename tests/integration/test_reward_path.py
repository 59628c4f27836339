"""verl's reward-loop workers with our manager, Ray and a mock judge, as the benchmark drives them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from writing_rl.benchmark.reward_path import Load, measure
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
    ray.init(num_cpus=8, include_dashboard=False, log_to_driver=False)
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
