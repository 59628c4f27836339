"""Which two models write: two that are named, or the checkpoint of a training and what it began with."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from writing_rl.data.writers import Writer, parse_writers
from writing_rl.errors import SettingError
from writing_rl.models.export import NOTE, as_writer, base_model_of, export, find_checkpoint
from writing_rl.util.console import say

#: Most tokens of a text where nothing is said and the models can hold more.
MOST_TOKENS = 4096


def of_names(model: str, against: str) -> tuple[Writer, Writer]:
    """Two models that are named.

    Raises:
        SettingError: A name is that of no model, or both are the same.
    """
    first, second = _one(model, "--model"), _one(against, "--against")
    if first == second:
        raise SettingError(f"{model} would be compared with itself: name another model with --against")
    return first, second


def of_experiment(
    checkpoints: Path, experiment: str, step: int | None, base: str | None
) -> tuple[Writer, Writer]:
    """The checkpoint of a training, exported if it is not yet, and its base model.

    Args:
        checkpoints: The folder with a folder for each experiment.
        experiment: The training.
        step: The step of the checkpoint; None for the latest.
        base: The base model; None for what the training's log says.

    Raises:
        SettingError: There is no such checkpoint, the base model is not known, or is not there.
        SetupError: The checkpoint cannot be exported.
    """
    checkpoint = find_checkpoint(checkpoints, experiment, step)
    known = base_model_of(checkpoints, experiment)
    if base is None and known is None:
        raise SettingError(
            f"no log of {experiment} says what it was trained from ({checkpoints.parent / 'logs'}): name its "
            "base model with --base"
        )
    # Before the export, which takes a while.
    second = _one(base or as_writer(known or ""), "--base")
    out = checkpoint.default_out
    if not out.exists():
        say(f"Exporting {checkpoint.actor} to {out}", file=sys.stderr)
        export(checkpoint, out, known)
    elif not (out / NOTE).is_file():
        raise SettingError(f"{out} is there and was not exported by this project: compare it with --model")
    elif checkpoint.is_newer_than(out):
        raise SettingError(
            f"{out} was exported before its checkpoint was written: export it again with "
            f"writing-rl export --experiment {experiment} --step {checkpoint.step} --force"
        )
    if (out / "lora_adapter").is_dir():
        raise SettingError(
            f"{out} holds a LoRA adapter: serve it as writing-rl export says, and give "
            "--model NAME@http://HOST:PORT/v1"
        )
    return Writer(str(out), checkpoint=str(out)), second


def longest_text(writers: Iterable[Writer]) -> int:
    """Most tokens of a text where nothing is said: half of what the checkpoints among the models can hold."""
    held = [2 * MOST_TOKENS, *(_context(Path(writer.checkpoint)) for writer in writers if writer.checkpoint)]
    return max(1, min(held) // 2)


def _context(folder: Path) -> int:
    """The tokens that a checkpoint can hold, prompt and text together; many where it does not say."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config = config.get("text_config") or config
        return int(config["max_position_embeddings"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 2 * MOST_TOKENS  # as one of the hub


def _one(name: str, option: str) -> Writer:
    try:
        (writer,) = parse_writers(name)
    except ValueError:
        raise SettingError(f"{option} {name} names several models: name one") from None
    return writer
