"""A training from its command to its summary: the quick start's material, the index file, the run, its log.

The run itself is a process of its own (`launch.main`), whose output goes to the log whole and to the terminal
in part. Standard library only, so that a dry run needs no environment.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO

from writing_rl.errors import SettingError
from writing_rl.util.experiment_name import check_experiment
from writing_rl.util.folders import output_folder
from writing_rl.util.redact import HIDDEN, redact

MARK = b"[writing-rl] "
_LOGIN = re.compile(r"(://)\S*@")
#: Colours stay; what else a terminal would obey goes: control characters of ASCII, and those of Unicode (C1).
_OBEYED = re.compile(rb"(\x1b\[[0-9;]*m)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]")


@dataclass(frozen=True)
class Plan:
    """What is trained.

    Attributes:
        variables: The settings that the run reads from its environment.
        overrides: Hydra overrides, the profile first.
        quickstart: The folder of the quick start's data and model; None for a training of one's own.
    """

    variables: Mapping[str, str]
    overrides: Sequence[str]
    quickstart: Path | None = None

    @classmethod
    def of_environment(
        cls, overrides: Sequence[str], environment: Mapping[str, str], now: datetime, *, has_gpus: bool
    ) -> Plan:
        """The training that the environment's settings describe.

        Args:
            overrides: Hydra overrides of the command line.
            environment: `PROFILE`, `BASE_MODEL`, `DATA_DIR` and so on; empty ones count as missing.
            now: Names the quick start's experiment.
            has_gpus: Whether this machine has GPUs, which choose a profile where none is named.

        Raises:
            SettingError: The settings do not go together, or the experiment's name cannot name files.
        """
        given = {name: value for name, value in environment.items() if value}
        profile = given.get("PROFILE", "")
        seed = given.get("QUICKSTART_SEED", "0")
        variables = {
            "BASE_MODEL": given.get("BASE_MODEL", ""),
            "DATA_DIR": given.get("DATA_DIR", "data"),
            "EXPERIMENT_NAME": given.get("EXPERIMENT_NAME", "writing-rl"),
            "JUDGE_MODEL": given.get("JUDGE_MODEL", ""),
            "REWARD_STRATEGY": given.get("REWARD_STRATEGY", "position-disadvantage"),
            "WANDB_PROJECT": given.get("WANDB_PROJECT", "writing-rl"),
        }
        for name in ("API_PARALLEL", "OUTPUT_DIR"):
            if name in given:
                variables[name] = given[name]
        quickstart = None
        if not variables["BASE_MODEL"]:
            if profile not in ("", "cpu"):
                raise SettingError(
                    f"PROFILE is '{profile}', and BASE_MODEL names no model to train: set it (--smoke needs "
                    "none)"
                )
            quickstart = Path("data", "quickstart" if seed == "0" else f"quickstart-{seed}")
            profile = "quickstart_cpu"  # the quick start's model is made for a CPU
            variables |= {
                "BASE_MODEL": str(quickstart / "base_model"),
                "DATA_DIR": given.get("DATA_DIR", str(quickstart)),
                "EXPERIMENT_NAME": given.get("EXPERIMENT_NAME", f"quickstart-{now:%Y%m%d-%H%M%S}"),
                "JUDGE_MODEL": variables["JUDGE_MODEL"] or "offline",
                "QUICKSTART_SEED": seed,
            }
        elif not profile and not has_gpus:
            profile = "cpu"
        check_experiment(variables["EXPERIMENT_NAME"])
        return cls(variables, [f"profile={profile}", *overrides] if profile else list(overrides), quickstart)

    @property
    def command(self) -> list[str]:
        """The run's process."""
        return [sys.executable, "-m", "writing_rl.launch.main", *self.overrides]

    def shown(self) -> str:
        """The command as a person could type it, without secrets."""
        settings = [f"{name}={shlex.quote(_hidden(value))}" for name, value in self.variables.items()]
        return " ".join([*settings, shlex.join(map(_hidden, self.command))])

    def prepare(self) -> None:
        """Makes the quick start's material, where that is what is trained; ends where that fails."""
        if self.quickstart:
            seed = self.variables["QUICKSTART_SEED"]
            _subcommand("quickstart", "--output", str(self.quickstart), "--seed", seed)


def _hidden(word: str) -> str:
    """A word without secrets; a password may hold what would end an address."""
    return redact(_LOGIN.sub(rf"\1{HIDDEN}@", word))


def train(plan: Plan, *, verbose: bool) -> int:
    """Trains, and ends with a summary.

    Args:
        plan: What; the environment of this process holds its variables.
        verbose: Whether everything is shown, not only the lines of ours and errors.

    Returns:
        The run's exit code; 128 + N where a signal ended it.
    """
    plan.prepare()
    _subcommand("index", "create")
    name = plan.variables["EXPERIMENT_NAME"]
    logs = output_folder("logs") / name
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"train-{datetime.now(timezone.utc):%Y%m%d-%H%M%S}.log"
    profile = next((word for word in plan.overrides if word.startswith("profile=")), "")
    on = f" on the {profile.removeprefix('profile=')}" if profile else ""
    print(f"Training {plan.variables['BASE_MODEL']} as {name}{on} (log: {log})", flush=True)
    code = watch(plan.command, log, sys.stdout.buffer, verbose=verbose)
    if code:
        print(
            f"The training ended with an error (exit code {code}); everything it said is in {log}",
            file=sys.stderr,
        )
        return code
    print(flush=True)
    summary = ["-m", "writing_rl.runlog.summary", "--log_dir", str(logs)]
    subprocess.run([sys.executable, *summary, "--judge", plan.variables["JUDGE_MODEL"]], check=False)
    checkpoints, index = output_folder("checkpoints") / name, output_folder("running_file")
    print(
        f"Logs: {logs}   Checkpoints: {checkpoints}   Index file: {index / f'index_{name}.json'}", flush=True
    )
    return 0


def watch(command: Sequence[str], log: Path, terminal: BinaryIO, *, verbose: bool) -> int:
    """Runs a process; its output goes to a log whole, and to the terminal as far as it matters there.

    Signals that would end this process go to the other one, whose end is waited for.

    Args:
        command: What runs.
        log: A file, which is begun.
        terminal: Where lines are shown: those of ours without what Ray puts before them, and errors.
        verbose: Whether all lines are shown.

    Returns:
        The exit code; 128 + N where a signal ended it.
    """
    with open(log, "wb", buffering=0) as file:  # what a full disk refuses is not tried again at the end
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert process.stdout is not None
        with _passed_on(process):
            outputs = {"log": file, "terminal": terminal}
            for line in process.stdout:
                line = _OBEYED.sub(lambda match: match[1] or b"", line)
                shown = line if verbose else line.partition(MARK)[2] if MARK in line else b""
                if not verbose and line.startswith(b"Error: "):
                    shown = line
                for name, part in (("log", line), ("terminal", shown)):
                    _write(outputs, name, part)
            code = process.wait()
    return code if code >= 0 else 128 - code


def _write(outputs: dict[str, BinaryIO], name: str, part: bytes) -> None:
    """Writes to an output; one that fails, as on a full disk or a closed terminal, does not end the run."""
    if not part or name not in outputs:
        return
    try:
        outputs[name].write(part)
        outputs[name].flush()
    except OSError as error:
        del outputs[name]
        _write(outputs, "terminal", f"the {name} cannot be written any more: {error.strerror}\n".encode())


@contextmanager
def _passed_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Sends a process the signals that would end this one. Ctrl-C at a terminal reaches both by itself."""

    def send(number: int, frame: object) -> None:
        process.send_signal(number)

    def wait(number: int, frame: object) -> None:
        """Lets the other process say what it has to."""

    handlers = {signal.SIGTERM: send, signal.SIGHUP: send, signal.SIGINT: wait}
    ignored = [number for number in handlers if signal.getsignal(number) is signal.SIG_IGN]
    before = {
        number: signal.signal(number, handler)
        for number, handler in handlers.items()
        if number not in ignored
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _subcommand(*words: str) -> None:
    """Runs another command of `writing-rl` in a process of its own; ends where it fails."""
    done = subprocess.run([sys.executable, "-m", "writing_rl.cli", *words], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def set_variables(plan: Plan) -> None:
    """Puts the plan's settings into the environment, for what this process starts."""
    os.environ.update(plan.variables)
    if "API_PARALLEL" not in plan.variables:
        os.environ.pop("API_PARALLEL", None)
