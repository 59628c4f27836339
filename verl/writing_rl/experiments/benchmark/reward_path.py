"""Driving verl's own reward-loop workers against a mock judge, and measuring them."""

from __future__ import annotations

import asyncio
import functools
import random
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from writing_rl.curriculum.messages import REFERENCE_COLUMN
from writing_rl.experiments.benchmark.bare_client import bare_makespan
from writing_rl.experiments.benchmark.mock_judge import get, running
from writing_rl.experiments.benchmark.schedule import best_makespan
from writing_rl.judging.factory import close_all
from writing_rl.launch.compose import compose

PROMPT = "Write a story about the sea."


@dataclass(frozen=True)
class Load:
    """What is judged.

    Attributes:
        comparisons: How many.
        parallel: `API_PARALLEL`.
        workers: `reward.num_workers`; 0 is one manager in the process that hands over.
        text_tokens: Length of each response.
        mean_s: Mean latency of the judge, in seconds.
        answer_tokens: Length of its answers.
        fault_share: Share of the requests that are refused, broken, left hanging or answered in vain.
        spread_s: Seconds over which the responses are handed over; 0 is all at once.
    """

    comparisons: int = 1024
    parallel: int = 64
    workers: int = 1
    text_tokens: int = 2000
    mean_s: float = 1.0
    answer_tokens: int = 200
    fault_share: float = 0.0
    spread_s: float = 0.0


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Attributes:
        makespan_s: From handing the first response over to having the last reward.
        best_s: The same with no cost of our own: the best schedule of the same latencies, from the moments at
            which verl and Ray hand each text over where nothing is done with it. A late request counts with
            its whole latency, also where it was not waited for.
        handing_s: Seconds in which they hand all texts over then.
        behind_s: From handing the last response over to having the last reward.
        most: Most requests in flight, seen by the judge.
        connections: Connections that the judge saw.
        cpu_ms: CPU of the processes that judge for one comparison.
        unscored: Number of comparisons without a verdict by reason.
        repeated: Calls that were made again although they had been answered.
    """

    makespan_s: float
    best_s: float
    handing_s: float
    behind_s: float
    most: int
    connections: int
    cpu_ms: float
    unscored: dict[str, int]
    repeated: int


def measure(load: Load, model: Path) -> Figures:
    """Judges the load once, after a first round that opens connections and warms caches.

    Args:
        load: What is judged.
        model: A checkpoint folder, for its tokenizer. Ray must be initialized.
    """
    import ray

    mock = running(mean_s=load.mean_s, answer_tokens=load.answer_tokens, fault_share=load.fault_share)
    with mock as address, tempfile.TemporaryDirectory() as folder:
        config = _configure(load, model, address, folder)
        held = _start_actors(load, folder)
        judging = _start_workers(config, load.workers) if load.workers else _start_manager(config)
        try:
            return asyncio.run(_measure(load, address, judging))
        finally:
            for actor in [*judging.workers, *held]:
                ray.kill(actor)


def _configure(load: Load, model: Path, address: str, folder: str) -> Any:
    return compose(
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


def _start_actors(load: Load, folder: str) -> list[Any]:
    """What a run has one of."""
    from writing_rl.curriculum.owner import start_owner
    from writing_rl.curriculum.rules import Promotion
    from writing_rl.dataset.samples import SampleKeys
    from writing_rl.judging.circuit_breaker import Breaker
    from writing_rl.judging.client.slot_actor import start_slots

    ids = [str(id) for id in range(load.comparisons)]
    owner = start_owner(
        f"{folder}/index.json",
        SampleKeys(by_index=False),
        dict.fromkeys(ids, 2),
        dict.fromkeys(ids, 0),
        Promotion(),
        Breaker(1.0, 64),
    )
    return [owner, start_slots(load.parallel)]


@dataclass(frozen=True)
class _Judging:
    """Who judges.

    Attributes:
        judge: Judges one response.
        processes: The processes that do so.
        workers: verl's reward workers, if there are any.
        close: Closes what the event loop of the measuring holds.
    """

    judge: Callable[[Any], Awaitable[Any]]
    processes: list[psutil.Process]
    workers: list[Any]
    close: Callable[[], Awaitable[None]]


def _start_manager(config: Any) -> _Judging:
    """One manager in this process; it takes the event loop that it is first used in."""
    from verl.experimental.reward_loop.reward_loop import RewardLoopWorker

    here = functools.cache(functools.partial(RewardLoopWorker, config, None))

    async def judge(item: Any) -> Any:
        return await here().compute_score(item)

    async def close() -> None:
        await close_all(here().reward_manager.judges)

    return _Judging(judge, [psutil.Process()], [], close)


def _start_workers(config: Any, count: int) -> _Judging:
    """verl's reward workers."""
    import ray
    from verl.experimental.reward_loop.reward_loop import RewardLoopWorker

    worker_class = ray.remote(num_cpus=0)(RewardLoopWorker)
    workers = [worker_class.remote(config, None) for _ in range(count)]
    pids = ray.get([worker.__ray_call__.remote(_pid) for worker in workers])
    choice = random.Random(1)  # verl's agent loop draws a worker for each response, too

    async def close() -> None: ...

    return _Judging(
        lambda item: choice.choice(workers).compute_score.remote(item),
        [psutil.Process(pid) for pid in pids],
        workers,
        close,
    )


async def _measure(load: Load, address: str, judging: _Judging) -> Figures:
    items = [finished(id, load.text_tokens) for id in range(load.comparisons)]
    first_round = max(load.parallel, 8 * load.workers)
    await asyncio.gather(*(_await(judging.judge(finished(0, 10))) for _ in range(first_round)))
    # The machine may be slow for a moment, which is no excuse: of three times, the soonest for each text.
    times = [await _arrivals(load, judging, items) for _ in range(3)]
    arrivals_s = [min(of_text) for of_text in zip(*times, strict=True)]
    get(f"{address}/reset")
    cpu = sum(map(_cpu_s, judging.processes))
    started = time.monotonic()
    rewards = await _hand_over(load, judging, items, started)
    handed_over = time.monotonic()
    results = [result["reward_extra_info"] for result in await asyncio.gather(*rewards)]
    ended = time.monotonic()
    cpu = sum(map(_cpu_s, judging.processes)) - cpu
    await judging.close()
    seen = get(f"{address}/figures")
    if judging.workers or load.mean_s:
        best_s = best_makespan(seen["latencies_s"], load.parallel, arrivals_s)
    else:
        best_s = await bare_makespan(f"{address}/v1", load.comparisons, load.parallel, load.text_tokens)
    return Figures(
        makespan_s=ended - started,
        best_s=best_s,
        handing_s=max(arrivals_s),
        behind_s=ended - handed_over,
        most=seen["most"],
        connections=seen["connections"],
        cpu_ms=1000 * cpu / load.comparisons,
        unscored=dict(Counter(result["reason"] for result in results if not result["scored"])),
        repeated=seen["repeated"],
    )


async def _hand_over(
    load: Load, judging: _Judging, items: list[Any], started: float
) -> list[asyncio.Future[Any]]:
    """Hands texts over as they are due, as verl's agent loop does; returns their rewards to come."""
    rewards: list[asyncio.Future[Any]] = []
    for number, item in enumerate(items):
        if (early_s := started + load.spread_s * number / load.comparisons - time.monotonic()) > 0:
            await asyncio.sleep(early_s)
        rewards.append(asyncio.ensure_future(_await(judging.judge(item))))
    return rewards


async def _arrivals(load: Load, judging: _Judging, items: list[Any]) -> list[float]:
    """When texts reach a reward manager that does nothing with them: seconds from the start, sorted."""
    import ray

    if not judging.workers:
        return [load.spread_s * number / load.comparisons for number in range(load.comparisons)]
    ray.get([worker.__ray_call__.remote(_idle_manager) for worker in judging.workers])
    started = time.monotonic()
    await asyncio.gather(*await _hand_over(load, judging, items, started))
    arrivals = ray.get([worker.__ray_call__.remote(_busy_manager) for worker in judging.workers])
    return sorted(arrival - started for of_worker in arrivals for arrival in of_worker)


def _idle_manager(worker: Any) -> None:
    """Has a reward worker note when texts arrive, instead of judging them."""
    worker.arrivals, worker.judging = [], worker.reward_manager.run_single

    async def run_single(_: Any) -> dict[str, Any]:
        worker.arrivals.append(time.monotonic())
        return {"reward_score": 0.0, "reward_extra_info": {}}

    worker.reward_manager.run_single = run_single


def _busy_manager(worker: Any) -> list[float]:
    """Has it judge again; returns when texts arrived, by the clock that all processes of a machine share."""
    worker.reward_manager.run_single = worker.judging
    return worker.arrivals


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _pid(_: Any) -> int:
    import os

    return os.getpid()


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def finished(id: int, tokens: int, **columns: Any) -> Any:
    """A finished response as verl's agent loop hands it over.

    Args:
        id: The sample.
        tokens: Length of the response.
        **columns: Columns of the row that are not those of a rollout of training in step 1.

    Returns:
        A `DataProto` of one row.
    """
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
        REFERENCE_COLUMN: 0,
        "uid": f"u{id}",
        "session_id": 0,
        "global_steps": 1,
        **columns,
    }
    arrays = {}
    for name, value in row.items():
        arrays[name] = np.empty(1, dtype=object)
        arrays[name][0] = value
    return DataProto(batch=batch, non_tensor_batch=arrays)
