"""From a training's checkpoint to a folder in Hugging Face's format: what `writing-rl export` does.

verl's own merger does the work; this is about finding the checkpoint, and about a folder that is whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from writing_rl.errors import SettingError, SetupError
from writing_rl.models.inspect_folder import Contents, inspect
from writing_rl.runlog.start_record import read_starts, versions
from writing_rl.util.experiment_name import names_files
from writing_rl.util.folders import output_folder

#: What a folder that was written here says of itself.
NOTE = "writing_rl.json"
#: What verl writes last of all into an experiment's folder, when a checkpoint is complete.
LATEST = "latest_checkpointed_iteration.txt"
#: verl's merger, as a command.
MERGER = (sys.executable, "-m", "verl.model_merger")

#: Names that an error lists at most.
MOST_LISTED = 12

_EXCEPTION = re.compile(r"(\w+\.)*\w*(Error|Exception)\b")
_VERSIONS = ("writing-rl", "verl", "torch", "transformers")


@dataclass(frozen=True)
class Checkpoint:
    """The policy of a training after one of its steps.

    Attributes:
        experiment: The training.
        step: The step.
        actor: The folder with the policy's shards.
        shards: These, which are all there.
    """

    experiment: str
    step: int
    actor: Path
    shards: tuple[Path, ...]

    @property
    def default_out(self) -> Path:
        """Where it is exported to if nothing is said."""
        return output_folder("models") / f"{self.experiment}-step-{self.step}"

    def is_newer_than(self, folder: Path) -> bool:
        """Whether it was written after a folder was exported, as by a training that began again."""
        exported = (folder / NOTE).stat().st_mtime
        return any(shard.stat().st_mtime > exported for shard in self.shards)


def find_checkpoint(checkpoints: Path, experiment: str, step: int | None = None) -> Checkpoint:
    """Finds a checkpoint and makes sure that all its parts are there.

    Args:
        checkpoints: The folder with a folder for each experiment.
        experiment: The training.
        step: The step; None for the latest.

    Raises:
        SettingError: There is no such checkpoint, or it is not whole; the message lists what there is.
    """
    folder = checkpoints / experiment
    if not names_files(experiment) or not folder.is_dir():
        known = (path.name for path in _folders(checkpoints) if _steps(path))
        raise SettingError(f"{checkpoints} holds no experiment {experiment!r}; it holds {_listed(known)}")
    steps = _steps(folder)
    if not steps:
        raise SettingError(
            f"{folder} holds no checkpoint of a policy yet; it holds {_listed(_names(folder))}"
        )
    if step is None:
        step = _latest(folder, steps)
    elif step not in steps:
        raise SettingError(f"{folder} has no checkpoint of step {step}; it has {_listed(map(str, steps))}")
    actor = folder / f"global_step_{step}" / "actor"
    return Checkpoint(experiment, step, actor, _shards(actor))


def base_model_of(checkpoints: Path, experiment: str) -> str | None:
    """The model that a training began with, by the record of its last start; None without one.

    Args:
        checkpoints: The folder with a folder for each experiment; that of the logs is beside it.
        experiment: The training.
    """
    starts = read_starts(checkpoints.parent / "logs" / experiment)
    return (starts[-1]["settings"].get("actor_rollout_ref.model.path") or None) if starts else None


def export(
    checkpoint: Checkpoint, out: Path, base_model: str | None = None, *, force: bool = False
) -> Contents:
    """Writes a checkpoint as a folder that transformers and vLLM can load.

    The folder takes its name when it is whole and looked through; until then it is a hidden one beside it.

    Args:
        checkpoint: Which.
        out: The folder.
        base_model: What the training began with, if that is known.
        force: Whether a folder that was exported before is replaced.

    Returns:
        What is in the folder.

    Raises:
        SettingError: The folder exists and may not be replaced.
        SetupError: The merger fails, or what it wrote is no whole model.
        OSError: The folder cannot be written.
    """
    _check_free(out, force=force)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as work:
        new = Path(work, "model")
        _merge(checkpoint.actor, new)
        contents = inspect(new)
        note = {
            "experiment": checkpoint.experiment,
            "step": checkpoint.step,
            "base_model": base_model,
            "versions": {"python": platform.python_version(), **versions(_VERSIONS)},
        }
        (new / NOTE).write_text(json.dumps(note, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        _open_to_readers(new)
        _put_in_place(new, out)
    return contents


def as_writer(model: str) -> str:
    """A training's base model as scripts are given it: a folder, or `vllm:` and its name at the hub."""
    folder = Path(model)
    if not folder.is_absolute():
        return model if folder.is_dir() else f"vllm:{model}"
    return str(folder.relative_to(Path.cwd())) if folder.is_relative_to(Path.cwd()) else model


def next_steps(out: Path, contents: Contents, base_model: str | None) -> str:
    """What to do with an exported folder, for a terminal."""
    from writing_rl.models.serve import CPU_ARGUMENTS, placements

    serve, variables = ["vllm", "serve", str(out)], ""
    with contextlib.suppress(PackageNotFoundError):
        if "cpu" in version("vllm"):
            serve += CPU_ARGUMENTS
    # The export has succeeded, whatever the GPUs of this machine are like.
    with contextlib.suppress(SetupError):
        (placement,) = placements([str(out)])
        if placement:
            serve += placement.arguments
            variables = "".join(
                f"{name}={shlex.quote(value)} " for name, value in placement.variables.items()
            )
    if contents.has_adapter:
        serve += ["--enable-lora", "--lora-modules", f"{out.name}={out / 'lora_adapter'}"]
        return f"Next:\n  {variables}{shlex.join(serve)}"
    against = as_writer(base_model) if base_model else "BASE_MODEL"
    chat = ["writing-rl", "chat", "--model", str(out), "--against", against]
    return f"Next:\n  {variables}{shlex.join(serve)}\n  {shlex.join(chat)}"


def _steps(folder: Path) -> list[int]:
    """The steps of an experiment whose policy is there: verl removes old ones and leaves their folders."""
    numbers = (path.parent.name.removeprefix("global_step_") for path in folder.glob("global_step_*/actor"))
    return sorted(int(number) for number in numbers if number.isdecimal())


def _latest(folder: Path, steps: list[int]) -> int:
    path, there = folder / LATEST, f"it has {_listed(map(str, steps))}"
    try:
        said = path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        raise SettingError(
            f"{path} cannot be read ({error.strerror}), so name the step with --step; {there}"
        ) from None
    if not said.isdecimal() or int(said) not in steps:
        raise SettingError(
            f"{path} says {said[:40]!r}, and no such step is there: name one with --step; {there}"
        )
    return int(said)


def _shards(actor: Path) -> tuple[Path, ...]:
    """The files of a checkpoint that the merger puts together."""
    there = f"it holds {_listed(_names(actor))}"
    try:
        count = int(json.loads((actor / "fsdp_config.json").read_text(encoding="utf-8"))["world_size"])
    except (OSError, ValueError, KeyError, TypeError):
        raise SettingError(
            f"{actor} is no whole FSDP checkpoint: its fsdp_config.json is missing or broken; {there}"
        ) from None
    shards = tuple(actor / f"model_world_size_{count}_rank_{rank}.pt" for rank in range(count))
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing:
        # On several nodes without a common disk, each has its own part.
        raise SettingError(f"{actor} lacks {len(missing)} of {count} shards, first {missing[0]}; {there}")
    if not (actor / "huggingface" / "config.json").is_file():
        raise SettingError(f"{actor} lacks huggingface/config.json; {there}")
    return shards


def _check_free(out: Path, *, force: bool) -> None:
    """Makes sure that nothing is lost by writing a folder."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / NOTE).is_file():
        raise SettingError(f"{out} exists already and was not exported by this script: name another --output")
    if not force:
        raise SettingError(f"{out} exists already: name another --output, or replace it with --force")


def _merge(actor: Path, target: Path) -> None:
    descriptor, name = tempfile.mkstemp(prefix="writing-rl-merge-", suffix=".log")
    log = Path(name)
    command = [*MERGER, "merge", "--backend", "fsdp", "--local_dir", str(actor), "--target_dir", str(target)]
    try:
        with open(descriptor, "wb") as output:
            code = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False
            ).returncode
    except BaseException:
        log.unlink(missing_ok=True)
        raise
    if code != 0:
        said = _last_error(log)
        if code == -signal.SIGKILL:
            said = "it was killed, probably because the memory is full"
        raise SetupError(f"verl's merger cannot export {actor}: {said} (its log: {log})")
    log.unlink(missing_ok=True)


def _last_error(log: Path) -> str:
    """The last exception in a log, else its last line."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    named = [line for line in lines if _EXCEPTION.match(line)]
    return next((line for line in reversed(named or lines) if line), "it said nothing")[:300]


def _open_to_readers(folder: Path) -> None:
    """Gives the files the usual rights; temporary folders and safetensors leave them to their owner alone."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _put_in_place(new: Path, out: Path) -> None:
    """Gives a folder its name, in the place of an older one."""
    if not out.exists():
        new.rename(out)
        return
    old = out.with_name(f".{out.name}.old-{os.getpid()}")
    out.rename(old)
    try:
        new.rename(out)
    except BaseException:
        old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _folders(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else ()


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _listed(names: Iterable[Any]) -> str:
    """Names for an error, the first and last of many."""
    found = list(names)
    if len(found) > MOST_LISTED:
        found = [*found[: MOST_LISTED // 2], "…", *found[-MOST_LISTED // 2 :]]
    return ", ".join(found) or "none"
