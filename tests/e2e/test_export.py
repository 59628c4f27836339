"""A training's checkpoint becomes a model that vLLM serves, next to the model that it began with."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.commands import COMMAND


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_a_checkpoint_is_exported_and_writes(start_training: Any, material: Path) -> None:
    training = start_training("trainer.total_training_steps=1", "trainer.val_before_train=false")
    assert training.wait() == 0, training.story
    folder: Path = training.folder
    said = run(folder, "export", "--experiment", "trial")
    assert f"--model models/trial-step-1 --against {material / 'base_model'}" in said
    assert_same_weights(
        folder / "checkpoints/trial/global_step_1/actor/model_world_size_1_rank_0.pt",
        folder / "models/trial-step-1/model.safetensors",
    )

    chat = ["--experiment", "trial", "--prompt", "Write a story.", "--max-tokens", "16"]
    said = run(folder, "chat", *chat, "--judge", "offline", "--output", "chat.jsonl")
    assert f"models/trial-step-1 against {material / 'base_model'}: " in said
    assert "unscored 0 of 1" in said
    line = json.loads((folder / "chat.jsonl").read_text())
    assert line["model"]["text"].strip()
    assert line["against"]["text"].strip()


def assert_same_weights(shard: Path, exported: Path) -> None:
    """The exported weights are those of the only shard, in the merger's number format."""
    import torch
    from safetensors.torch import load_file

    trained = torch.load(shard, map_location="cpu", weights_only=False)
    weights = load_file(exported)
    assert weights
    for name, weight in weights.items():
        assert torch.equal(weight, trained[name].to_local().bfloat16()), name
