"""Training the arms, one after the other; a start after a kill goes on with what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from writing_rl.errors import SetupError
from writing_rl.experiments.ablation.arms import KEPT, Trial
from writing_rl.runlog.summary import read_metrics, validation_key
from writing_rl.util.folders import output_folder

COMMAND = (sys.executable, "-m", "writing_rl.cli")


def is_done(trial: Trial, steps: int) -> bool:
    """Whether a training has come to its end, the last validation included."""
    metrics = read_metrics(output_folder("logs") / trial.experiment)
    return bool(metrics) and metrics[-1]["step"] == steps and validation_key(metrics[-1]) is not None


def quickstart_folder(seed: int) -> Path:
    """Where the quick start's data and model of a seed are (as `writing-rl train` has it)."""
    return Path("data", f"quickstart-{seed}" if seed else "quickstart")


def train(trial: Trial, steps: int) -> None:
    """Trains an arm with a seed, in the current folder.

    Raises:
        SetupError: It failed; the message names its log.
    """
    log = output_folder("logs") / "ablation" / f"{trial.experiment}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    variables = {"QUICKSTART_SEED": str(trial.seed), "EXPERIMENT_NAME": trial.experiment}
    with open(log, "wb") as output:
        if trial.arm.select:
            variables["DATA_DIR"] = str(_selected(trial, output))
        _run(["train", *overrides(trial, steps)], variables, output)
    if not is_done(trial, steps):
        raise SetupError(f"{trial.experiment} ended before step {steps}: see {log}")


def overrides(trial: Trial, steps: int) -> list[str]:
    """The Hydra overrides of a training."""
    return [f"trainer.total_training_steps={steps}", *trial.arm.overrides]


def command(trial: Trial, steps: int) -> str:
    """How a person starts the same training."""
    folder = f"DATA_DIR={_selection_folder(trial)} " if trial.arm.select else ""
    names = f"QUICKSTART_SEED={trial.seed} EXPERIMENT_NAME={trial.experiment} {folder}"
    return f"{names}writing-rl train {' '.join(overrides(trial, steps))}"


def selection_commands(trial: Trial) -> list[list[str]]:
    """What makes the data of an arm with a choice of data: the policy is scored once for all such arms."""
    data, chosen = quickstart_folder(trial.seed), _selection_folder(trial)
    scores = _selection_folder(trial).with_name(f"policy-{trial.seed}")
    make = ["quickstart", "--output", str(data), "--seed", str(trial.seed)]
    select = ["data", "select", str(data / "train.parquet"), "--top", str(KEPT), "--force"]
    policy = ["--policy-model", str(data / "base_model"), "--policy-samples", "4", "--judge", "offline"]
    policy += ["--policy-max-tokens", "80", "--output", str(scores / "train.parquet")]
    by = ["--policy", str(scores / "train.policy.jsonl"), "--by", str(trial.arm.select)]
    by += ["--seed", str(trial.seed), "--output", str(chosen / "train.parquet")]
    return [make, [*select, *policy], [*select, *by]]


def _selection_folder(trial: Trial) -> Path:
    return Path("data", "ablation", f"{trial.arm.name}-{trial.seed}")


def _selected(trial: Trial, output: BinaryIO) -> Path:
    """Chooses the data of an arm; returns its folder."""
    folder = _selection_folder(trial)
    for words in selection_commands(trial):
        _run(words, {}, output)
    shutil.copy(quickstart_folder(trial.seed) / "test.parquet", folder / "test.parquet")
    return folder


def _run(words: Sequence[str], variables: Mapping[str, str], output: BinaryIO) -> None:
    done = subprocess.run(
        [*COMMAND, *words],
        env={**os.environ, **variables},
        stdout=output,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        raise SetupError(
            f"writing-rl {' '.join(words[:2])} ended with exit code {done.returncode}: see {output.name}"
        )
