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
    figures = measure(load, model)  # asserts that each comparison was scored
    assert figures.most == load.parallel
    assert figures.makespan_s >= figures.best_s
