"""The shapes of the GPU profiles, run on a CPU with a tiny model: verl, Ray and vLLM, nothing in their place.

The five profiles have three shapes: PPO with a critic and tensor parallel 2 (`original`, `gpu`), GRPO of all
weights (`gpu_grpo`), GRPO of adapters (`gpu_lora`, `gpu_small`).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.commands import COMMAND
from tests.e2e.conftest import LONGEST_END_S, LONGEST_RUN_S, processes_in
from writing_rl.launch.rehearsal import checkpoint_bytes
from writing_rl.launch.smoke import make_material


@pytest.fixture
def run_module(tmp_path: Path) -> Iterator[Any]:
    """Runs a module of ours in the test's folder, and leaves no process behind."""

    def run(*command: str, **variables: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=tmp_path,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=2 * LONGEST_RUN_S,
        )
        logs = "\n".join(path.read_text()[-3000:] for path in tmp_path.glob("out/*.log"))
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{logs}"
        return done.stdout

    yield run
    _, alive = psutil.wait_procs(processes_in({tmp_path}), timeout=LONGEST_END_S)
    assert not alive, "a run has left processes behind"


def smoke(run_module: Any, profile: str) -> dict[str, str]:
    """The table of a smoke run."""
    said = run_module("writing_rl.launch.smoke", "--profile", profile, "--out", "out")
    rows = re.findall(r"^\| (.+?) +\| (.+?) \|$", said, re.MULTILINE)
    assert ("smoke run", "passed") in rows
    return dict(rows)


def test_ppo_with_a_critic_and_tensor_parallel_2(run_module: Any, tmp_path: Path) -> None:
    table = smoke(run_module, "gpu")
    assert table["algorithm"] == "gae, 1 texts a prompt, critic"
    assert table["FSDP"] == "fsdp2, 2 ranks, offload"
    assert table["vLLM"].startswith("tensor parallel 2")
    assert table["export"] == "a folder that transformers loads"
    # No process of a run asks the hub for anything.
    assert "'HF_HUB_OFFLINE': '1'" in (tmp_path / "out" / "step-1.log").read_text()
    # What it made is gone; what it said stays.
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left >= {"logs", "step-1.log", "step-2.log"}
    assert not left & {"checkpoints", "data", "exported", "model"}


@pytest.mark.nightly  # what it says is tested on figures, and the longer rehearsals below are nightly, too
def test_a_rehearsal_of_grpo_of_adapters(run_module: Any, tmp_path: Path) -> None:
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    variables = {**make_material(tiny), "EXPERIMENT_NAME": "trial", "JUDGE_MODEL": "offline"}
    settings = ["profile=gpu_lora", "machine=cpu", "trial=smoke", "trainer.n_gpus_per_node=1"]
    said = run_module("writing_rl.launch.rehearsal", "--out", "out", *settings, **variables)
    assert "judge calls" in said
    found = json.loads((tmp_path / "out" / "rehearsal.json").read_text())
    assert found["steps"]["full"]["tokens"] == 32  # forced to full length
    assert found["steps"]["warm"]["seconds"]["update"] > 0
    assert found["full_peaks"]["update"]["host"] > 100 << 20
    assert found["checkpoint"] > 1 << 20
    assert found["plan"]["calls"] == 2 * 8 * 8
    # Checkpoints are gone, and nothing of the experiment is touched.
    assert not (tmp_path / "out" / "checkpoints").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"out", "tiny"}


@pytest.mark.nightly
@pytest.mark.parametrize("profile", ["gpu_grpo", "original", "gpu_lora", "gpu_small"])
def test_every_other_profile(run_module: Any, profile: str) -> None:
    table = smoke(run_module, profile)
    assert table["profile"] == f"{profile}, CPU"


@pytest.mark.nightly
def test_a_rehearsal_forecasts_the_run(run_module: Any, material: Path, tmp_path: Path) -> None:
    variables = {
        "BASE_MODEL": str(material / "base_model"),
        "DATA_DIR": str(material),
        "EXPERIMENT_NAME": "trial",
        "JUDGE_MODEL": "offline",
    }
    settings = [
        *("profile=cpu", "data.train_batch_size=4", "data.max_response_length=16"),
        *("actor_rollout_ref.rollout.n=4", "trainer.total_training_steps=2", "trainer.test_freq=1"),
    ]
    said = run_module("writing_rl.launch.rehearsal", "--out", "out", *settings, **variables)
    assert "judge calls" in said
    forecast = json.loads((tmp_path / "out" / "rehearsal.json").read_text())
    subprocess.run([*COMMAND, "index", "create"], cwd=tmp_path, env={**os.environ, **variables}, check=True)
    run_module("writing_rl.launch.main", *settings, **variables)
    plan = forecast["plan"]
    figures = [
        json.loads(line)
        for path in (tmp_path / "logs" / "trial" / "metrics").glob("*.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert max(entry["step"] for entry in figures) == plan["steps"] == 2
    spent = json.loads((tmp_path / "logs" / "trial" / "judge" / "spent.json").read_text())
    assert spent["calls"] == plan["calls"]
    checkpoint = tmp_path / "checkpoints" / "trial" / "global_step_2"
    assert checkpoint_bytes(checkpoint) == forecast["checkpoint"]
