"""A run that loses a process ends with an error that names it, within a minute, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from tests.e2e.conftest import RUN_VARIABLE

OVERRIDES = ["reward.num_workers=2", "trainer.total_training_steps=100000", "trainer.val_before_train=false"]
#: A training worker dies in a run of two ranks, where the other waits for it in a collective.
RANKS = {"training worker": 2}
LONGEST_END_S = 60

VICTIMS = {
    "agent loop worker": "ray::ReportingAgentLoopWorker",
    "reward worker": "ray::RewardLoopWorker",
    "vLLM engine": "VLLM::EngineCore",
    "training worker": "ray::WorkerDict",
    "owner of the reference index": "ray::ReferenceOwner",
}


def processes_of(run, title: str) -> list[psutil.Process]:
    """The processes of a run whose title begins with a text."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        cmdline, environment = process.info["cmdline"] or [""], process.info["environ"] or {}
        if cmdline[0].startswith(title) and environment.get(RUN_VARIABLE) == str(run.folder):
            found.append(process)
    return found


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_dead_process_ends_the_run_with_its_name(start_training, victim):
    run = start_training(*OVERRIDES, f"trainer.n_gpus_per_node={RANKS.get(victim, 1)}")
    run.wait_for_line("[writing-rl] step 2/")
    target = processes_of(run, VICTIMS[victim])[-1]

    os.kill(target.pid, signal.SIGKILL)
    killed = time.monotonic()
    code = run.wait(timeout_s=LONGEST_END_S)

    assert code != 0
    assert time.monotonic() - killed < LONGEST_END_S
    errors = [line for line in run.lines if line.startswith("Error: ")]
    assert len(errors) == 1, run.output[-6000:]
    assert victim in errors[0]
    left = [process for title in VICTIMS.values() for process in processes_of(run, title)]
    _, alive = psutil.wait_procs(left, timeout=30)
    assert not alive
