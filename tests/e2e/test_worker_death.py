"""A run that loses a process ends with an error that names it, and leaves nothing behind."""

from __future__ import annotations

import time

import psutil
import pytest

OVERRIDES = ["reward.num_workers=2", "trainer.total_training_steps=4000", "trainer.val_before_train=false"]
#: A training worker dies in a run of two ranks, where the other waits for it in a collective.
RANKS = {"training worker": 2}
#: A minute on an idle machine.
LONGEST_END_S = 300
#: Those of verl's own processes that a run waits for in two different ways; the others die alike.
EVERY_TIME = ("training worker", "vLLM engine")

VICTIMS = {
    "agent loop worker": "ray::ReportingAgentLoopWorker",
    "reward worker": "ray::RewardLoopWorker",
    "vLLM engine": "VLLM::EngineCore",
    "training worker": "ray::WorkerDict",
    "owner of the reference index": "ray::ReferenceOwner",
    "pool of judge slots": "ray::SlotPool",
}


def find(processes: list[psutil.Process], title: str) -> psutil.Process:
    """The last process with a title; Ray writes it anew for every call, and it may be read half-written."""
    for _ in range(100):
        found = [process for process in processes if "".join(process.cmdline()).startswith(title)]
        if found:
            return found[-1]
        time.sleep(0.05)
    raise AssertionError(f"no process is called {title}: {[process.cmdline() for process in processes]}")


@pytest.mark.parametrize(
    "victim",
    [pytest.param(name, marks=() if name in EVERY_TIME else pytest.mark.nightly) for name in VICTIMS],
)
def test_a_dead_process_ends_the_run_with_its_name(start_training, victim):
    run = start_training(*OVERRIDES, f"trainer.n_gpus_per_node={RANKS.get(victim, 1)}")
    run.wait_for_line("[writing-rl] step 2/")
    processes = psutil.Process(run.process.pid).children(recursive=True)
    target = find(processes, VICTIMS[victim])

    target.kill()
    code = run.wait(timeout_s=LONGEST_END_S)

    assert code != 0
    errors = [line for line in run.lines if line.startswith("Error: ")]
    assert len(errors) == 1, run.story
    assert victim in errors[0]
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert not alive
