"""The owner of the curriculum and reward workers on two Ray nodes (of one machine)."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from writing_rl.curriculum.index_file import read_index, write_index
from writing_rl.curriculum.journal import journal_of, read_journal, rebuild
from writing_rl.curriculum.owner import start_owner
from writing_rl.curriculum.rules import Promotion
from writing_rl.dataset.samples import SampleKeys
from writing_rl.experiments.benchmark.index_state import RateWorker
from writing_rl.judging.circuit_breaker import Breaker

SAMPLES, ROLLOUTS, STEPS = 40, 8, 4


@pytest.fixture
def two_nodes() -> Iterator[None]:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "resources": {"first": 8}})
    try:
        cluster.add_node(num_cpus=4, resources={"second": 8})
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, log_to_driver=False)
        yield
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def index_file(tmp_path: Path) -> Path:
    path = tmp_path / "index_mine.json"
    write_index(path, dict.fromkeys(map(str, range(SAMPLES)), 0))
    return path


@pytest.fixture
def owner(two_nodes: None, index_file: Path) -> Any:
    indexes = read_index(index_file)
    references = dict.fromkeys(indexes, 10)
    keys = SampleKeys(by_index=False)
    owner = start_owner(str(index_file), keys, references, indexes, Promotion(), Breaker(1.0, 64))
    ray.get(owner.begin.remote(0, STEPS))
    return owner


def workers(count: int) -> list[Any]:
    """Workers that take turns in living on one node and on the other."""
    nodes = ("first", "second")
    return [
        ray.remote(num_cpus=0, resources={nodes[number % 2]: 1})(RateWorker).remote()
        for number in range(count)
    ]


def test_all_rollouts_of_a_group_meet_one_reference_and_none_is_lost(owner: Any, index_file: Path) -> None:
    actors = workers(4)
    nodes = [actor.__ray_call__.remote(lambda _: ray.get_runtime_context().get_node_id()) for actor in actors]
    assert len(set(ray.get(nodes))) == 2
    rollouts = [(id, f"u_{session}") for id in range(SAMPLES) for session in range(ROLLOUTS)]
    share = [rollouts[number::4] for number in range(4)]
    for step in range(1, STEPS + 1):
        # The next step begins while this one is under way, as with verl's asynchronous trainers.
        early = actors[0].tell.remote([(0, "early")], step + 1)
        told = ray.get([actor.tell.remote(part, step) for actor, part in zip(actors, share, strict=True)])
        # A worker that died and was started again tells the same once more.
        again = workers(1)[0]
        ray.get(again.tell.remote(share[2], step))
        ray.kill(again)
        met = defaultdict(set)
        for id, reference in itertools.chain(*told):
            met[id].add(reference)
        assert all(len(references) == 1 for references in met.values())
        assert all(met[id] == {step - 1} for id in range(1, SAMPLES))
        ray.get(early)
        figures = ray.get(owner.commit.remote(step))
        # Of the first sample the early rollout fixed the reference before the step before was committed.
        assert figures["writing_rl/judge/calls"] == len(rollouts) + (step > 1)
        assert figures["writing_rl/promotions"] >= SAMPLES - 1
    indexes = read_index(index_file)
    assert all(indexes[str(id)] == STEPS for id in range(1, SAMPLES))
    # Each win over its first reference counted once, however many steps met it.
    assert indexes["0"] == STEPS // 2
    assert rebuild(read_journal(journal_of(index_file))) == indexes
