"""Driving verl's own reward-loop workers against a mock judge, and measuring them."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from writing_rl.benchmark.schedule import best_makespan
from writing_rl.compose import compose

PROMPT = "Write a story about the sea."


@dataclass(frozen=True)
class Load:
    """What is judged.

    Attributes:
        comparisons: How many, all handed over at once.
        parallel: `API_PARALLEL`.
        workers: `reward.num_workers`.
        text_tokens: Length of each response.
        mean_s: Mean latency of the judge, in seconds.
    """

    comparisons: int = 1024
    parallel: int = 64
    workers: int = 1
    text_tokens: int = 2000
    mean_s: float = 1.0


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Attributes:
        makespan_s: From handing the first response over to having the last reward.
        best_s: The same with no cost of our own: the best schedule of the same latencies.
        most: Most requests in flight, seen by the judge.
        connections: Connections that the judge saw.
        cpu_ms: CPU of the reward workers for one comparison.
    """

    makespan_s: float
    best_s: float
    most: int
    connections: int
    cpu_ms: float


@contextmanager
def mock_judge(load: Load) -> Iterator[str]:
    """Runs a mock judge; yields the address that it listens at."""
    command = [sys.executable, "-m", "writing_rl.benchmark.mock_judge", "--mean_s", str(load.mean_s)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.kill()
        server.wait()


def get(url: str) -> Any:
    """The JSON at an address."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


def measure(load: Load, model: Path) -> Figures:
    """Judges the load once, after a first round that opens connections and warms caches.

    Args:
        load: What is judged.
        model: A checkpoint folder, for its tokenizer. Ray must be initialized.
    """
    import ray
    from verl.experimental.reward_loop.reward_loop import RewardLoopWorker

    from writing_rl.curriculum.owner import start_owner
    from writing_rl.curriculum.rules import GroupRule
    from writing_rl.data.samples import SampleKeys
    from writing_rl.judging.breaker import Breaker
    from writing_rl.judging.run_slots import start_slots

    with mock_judge(load) as address, tempfile.TemporaryDirectory() as folder:
        config = compose(
            [
                "profile=cpu",
                f"actor_rollout_ref.model.path={model}",
                f"reward.num_workers={load.workers}",
                "writing_rl.judge.model=mock",
                f"writing_rl.judge.base_url={address}/v1",
                f"writing_rl.judge.parallel={load.parallel}",
                f"writing_rl.log_dir={folder}/logs",
                "trainer.experiment_name=benchmark",
            ]
        )
        ids = range(load.comparisons)
        held = [
            start_owner(
                f"{folder}/index.json",
                SampleKeys(by_index=False),
                {str(id): 2 for id in ids},
                {str(id): 0 for id in ids},
                GroupRule.MAJORITY,
                Breaker(1.0, 64),
            ),
            start_slots(load.parallel),
        ]
        worker_class = ray.remote(num_cpus=0)(RewardLoopWorker)
        workers = [worker_class.remote(config, None) for _ in range(load.workers)]
        processes = [psutil.Process(pid) for pid in ray.get([w.__ray_call__.remote(_pid) for w in workers])]
        items = [_item(id, load.text_tokens) for id in ids]
        choice = random.Random(1)
        chosen = [choice.choice(workers) for _ in items]
        ray.get([worker.compute_score.remote(_item(0, 10)) for worker in workers for _ in range(8)])
        get(f"{address}/reset")
        cpu = sum(map(_cpu_s, processes))
        started = time.monotonic()
        results = ray.get(
            [worker.compute_score.remote(item) for worker, item in zip(chosen, items, strict=True)]
        )
        makespan = time.monotonic() - started
        cpu = sum(map(_cpu_s, processes)) - cpu
        assert all(result["reward_extra_info"]["scored"] for result in results)
        seen = get(f"{address}/figures")
        for actor in [*workers, *held]:
            ray.kill(actor)
    return Figures(
        makespan_s=makespan,
        best_s=best_makespan(seen["latencies_s"], load.parallel),
        most=seen["most"],
        connections=seen["connections"],
        cpu_ms=1000 * cpu / load.comparisons,
    )


def _pid(_: Any) -> int:
    import os

    return os.getpid()


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _item(id: int, tokens: int) -> Any:
    """A finished response as verl's agent loop hands it over."""
    import numpy as np
    import torch
    from tensordict import TensorDict

    from verl import DataProto

    generator = torch.Generator().manual_seed(id)
    responses = torch.randint(10, 1000, (1, tokens), generator=generator)
    prompts = torch.ones((1, 8), dtype=torch.int64)
    mask = torch.ones((1, 8 + tokens), dtype=torch.int64)
    batch = TensorDict({"prompts": prompts, "responses": responses, "attention_mask": mask}, batch_size=1)
    row = {
        "data_source": "writing",
        "reward_model": {"ground_truth": {"prompt": PROMPT, "target": ["low", "high"], "id": id}},
        "extra_info": {"index": id, "split": "train"},
        "uid": f"u{id}",
        "session_id": 0,
        "global_steps": 1,
    }
    columns = {}
    for name, value in row.items():
        columns[name] = np.empty(1, dtype=object)
        columns[name][0] = value
    return DataProto(batch=batch, non_tensor_batch=columns)
