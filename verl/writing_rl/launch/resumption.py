"""Whether the checkpoint that a run would resume from fits its settings.

verl 0.9.1 finds out after all its models are loaded, with the message of a missing file or of torch; where
the latest checkpoint is gone it starts from scratch without a word.
"""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from writing_rl.errors import SettingError
from writing_rl.launch.run_shape import Part, RunShape
from writing_rl.models.model_shape import ModelShape

TRACKER = "latest_checkpointed_iteration.txt"
ELSE = "or take its weights: writing-rl export, then BASE_MODEL and another EXPERIMENT_NAME"
#: What a rank reads of a checkpoint -> the beginning of its file's name (`fsdp_checkpoint_manager.py`).
FILES = {"model": "model", "optimizer": "optim", "extra": "extra_state"}
#: Settings whose value in the checkpoint wins over that of the configuration -> their names in Adam's state.
KEPT = {"lr": "initial_lr", "weight_decay": "weight_decay", "betas": "betas"}


def checkpoint_to_resume(config: DictConfig) -> Path | None:
    """The folder `global_step_N` that verl will resume from; None where the run begins.

    Raises:
        SettingError: The one that is named is not there.
    """
    mode, folder = str(config.trainer.resume_mode), Path(config.trainer.default_local_dir)
    if mode == "disable":
        return None
    if mode == "resume_path":
        path = Path(str(config.trainer.resume_from_path))
        if not re.fullmatch(r"global_step_\d+", path.name) or not path.is_dir():
            raise SettingError(
                f"trainer.resume_from_path is {path}: name a folder global_step_N that is there"
            )
        return path
    if mode != "auto":
        raise SettingError(f"trainer.resume_mode is {mode}: choose one of auto, disable, resume_path")
    tracker = folder / TRACKER
    if not tracker.exists():
        return None
    step = tracker.read_text(encoding="utf-8", errors="replace").strip()
    path = folder / f"global_step_{step}"
    if not step.isdecimal() or not path.is_dir():
        raise SettingError(
            f"{tracker} names step '{step}', whose checkpoint {path} is not there: put it back, write the "
            "number of another one into the file, or remove the file to start from scratch"
        )
    return path


def steps_done(config: DictConfig) -> int:
    """Steps that are behind a run where it resumes.

    Raises:
        SettingError: The checkpoint is not there.
    """
    folder = checkpoint_to_resume(config)
    return int(folder.name.rpartition("_")[2]) if folder else 0


def check_resume(config: DictConfig, shape: RunShape, model: ModelShape) -> list[str]:
    """Checks the checkpoint that a run would resume from.

    Args:
        config: The resolved configuration.
        shape: Its numbers.
        model: The size of the model.

    Returns:
        What goes on otherwise than the configuration says, a line each.

    Raises:
        SettingError: verl could not load it.
    """
    folder = checkpoint_to_resume(config)
    if folder is None:
        return []
    lines: list[str] = []
    for part in shape.trained:
        place = folder / part.name.rpartition(".")[2]
        _check_part(place, part, shape, model)
        lines += _kept_values(config, place, part, shape)
    if not (folder / "data.pt").is_file():
        lines.append(f"{folder} holds no data.pt: the training set is gone through from its beginning")
    wanted = config.trainer.total_training_steps
    if wanted is not None and steps_done(config) >= int(wanted):
        lines.append(
            f"{folder} has all {wanted} steps (trainer.total_training_steps): nothing is left to train"
        )
    return lines


def _check_part(folder: Path, part: Part, shape: RunShape, model: ModelShape) -> None:
    if not folder.is_dir():
        raise SettingError(
            f"{folder.parent} holds no {folder.name}, which these settings train: use those it was saved with"
        )
    saved = _json(folder / "fsdp_config.json")
    ranks = saved.get("world_size", shape.gpus)
    if ranks != shape.gpus:
        raise SettingError(
            f"{folder} was saved by {ranks} GPUs, and this run has {shape.gpus}: use {ranks}, {ELSE}"
        )
    # Of several nodes each has the files of its own ranks.
    for file in _files(part, shape) if shape.nodes == 1 else ():
        # What torch saves is a zip archive, whose directory is at its end.
        if not zipfile.is_zipfile(folder / file):
            missing = "has only a part of" if (folder / file).is_file() else "lacks"
            raise SettingError(
                f"{folder} {missing} {file}: copy it again, resume from an earlier checkpoint, or leave it "
                f"out of {part.name}.checkpoint.load_contents"
            )
    kind = {1: "fsdp", 2: "fsdp2"}.get(saved.get("FSDP_version", 0), part.strategy)
    if kind != part.strategy:
        raise SettingError(
            f"{folder} was saved with {kind}, and {part.name}.strategy is {part.strategy}: set it to {kind}"
        )
    rank = _json(folder / "lora_train_meta.json").get("r", 0)
    if rank != part.lora_rank:
        what = f"LoRA of rank {rank}" if rank else "all weights"
        block = "critic.model" if part.name == "critic" else "actor_rollout_ref.model"
        raise SettingError(f"{folder} trains {what}: set {block}.lora_rank={rank}, {ELSE}")
    architecture = _json(folder / "huggingface" / "config.json")
    architecture = architecture.get("text_config") or architecture
    for key, ours in (("hidden_size", model.hidden), ("num_hidden_layers", model.layers)):
        if architecture.get(key, ours) != ours:
            raise SettingError(
                f"{folder} is of a model with {key} {architecture[key]}, and BASE_MODEL has {ours}: set "
                "BASE_MODEL to the model that it was trained from, or another EXPERIMENT_NAME"
            )


def _files(part: Part, shape: RunShape) -> Iterator[str]:
    for rank in range(shape.gpus):
        for content in (name for name in FILES if name in part.loads):
            yield f"{FILES[content]}_world_size_{shape.gpus}_rank_{rank}.pt"


def _kept_values(config: DictConfig, folder: Path, part: Part, shape: RunShape) -> Iterator[str]:
    if not {"optimizer", "extra"} <= set(part.loads):
        return
    saved = _adam(folder / f"optim_world_size_{shape.gpus}_rank_0.pt")
    for key, name in KEPT.items():
        setting = f"{part.name}.optim.{key}"
        now = OmegaConf.select(config, setting)
        then = saved.get(name, now)
        if (list(then) != list(now)) if key == "betas" else (then != now):
            yield f"{setting} is {now}, but the checkpoint goes on with {then}, as it was saved"


class _Nothing:
    """Stands for every object of torch."""

    def __new__(cls, *_: Any, **__: Any) -> _Nothing:
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> _Nothing:
        return self

    def __setstate__(self, state: Any) -> None:
        pass


class _WithoutTensors(pickle.Unpickler):
    """Reads what plain values torch has saved; no code of torch, or of whoever wrote the file, is run."""

    def find_class(self, module: str, name: str) -> Any:
        return OrderedDict if (module, name) == ("collections", "OrderedDict") else _Nothing

    def persistent_load(self, pid: Any) -> Any:
        return None


def _adam(path: Path) -> Mapping[str, Any]:
    """The settings in the file of an optimizer, without its gigabytes; none where it looks unlike ours."""
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(name) as file:
                return dict(_WithoutTensors(file).load()["param_groups"][0])
    except Exception:  # a pickle can fail in any way
        return {}


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
