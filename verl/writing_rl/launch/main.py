"""Entry point of a training: `python -m writing_rl.launch.main [profile=NAME] [Hydra overrides]`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import InterpolationResolutionError

from writing_rl.errors import RunComplete, RunFailure, SettingError, UserError, WritingRLError
from writing_rl.launch import attention
from writing_rl.launch.compose import check_addresses, locate_verl_config
from writing_rl.launch.gpu_checks import uses_other_machines
from writing_rl.launch.profiles import choose
from writing_rl.models.hub import local_model
from writing_rl.models.model_shape import read_shape
from writing_rl.runlog.start_record import write_start
from writing_rl.util.console import error_line, say
from writing_rl.util.gpus import visible_gpus

#: Paths that every process must understand alike, wherever it runs.
PATHS = (
    "writing_rl.index_file",
    "writing_rl.log_dir",
    "writing_rl.judge.cache_file",
    "trainer.default_local_dir",
    "data.train_files",
    "data.val_files",
    "trainer.resume_from_path",
    "writing_rl.judge.prices",
)

#: The same, where they are folders.
MODELS = ("actor_rollout_ref.model.path", "critic.model.path", "reward.reward_model.model_path")


def resolve(config: DictConfig) -> None:
    """Resolves a configuration in place and makes its paths absolute.

    Raises:
        SettingError: A value comes from an environment variable that is not set.
    """
    try:
        OmegaConf.resolve(config)
    except InterpolationResolutionError as error:
        raise SettingError(str(error).splitlines()[0]) from None
    for path in PATHS:
        if (value := OmegaConf.select(config, path)) is not None:
            OmegaConf.update(config, path, os.path.abspath(os.path.expanduser(str(value))))
    for model in MODELS:
        path = OmegaConf.select(config, model)
        if path is not None and os.path.isdir(os.path.expanduser(str(path))):  # else a name on the hub
            OmegaConf.update(config, model, os.path.abspath(os.path.expanduser(str(path))))
    if os.environ.get("WANDB_API_KEY") and "wandb" not in config.trainer.logger:
        with open_dict(config):
            config.trainer.logger = [*config.trainer.logger, "wandb"]


def with_profile(arguments: list[str]) -> list[str]:
    """Adds the profile that fits this machine, where the command line names none and GPUs are visible.

    Args:
        arguments: Hydra overrides.

    Raises:
        UserError: The model cannot be had, or no profile fits.
    """
    if any(argument.startswith("profile=") for argument in arguments):
        return arguments
    gpus = visible_gpus()
    overrides = [argument for argument in arguments if not argument.startswith("-")]
    setting = "actor_rollout_ref.model.path="
    given = [argument.removeprefix(setting) for argument in arguments if argument.startswith(setting)]
    name = given[-1] if given else os.environ.get("BASE_MODEL")
    if not gpus or not name:
        return arguments
    choice = choose(gpus, read_shape(local_model(name, "BASE_MODEL")), overrides)
    say(f"[writing-rl] {choice.reason}")
    return [f"profile={choice.name}", *arguments]


def place_logs(config: DictConfig) -> None:
    """Notes what the run is started with, and tells verl's loggers where to write.

    A run never writes over the figures of an earlier one.
    """
    log_dir = Path(config.writing_rl.log_dir)
    started = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    write_start(log_dir, cast(dict[str, Any], OmegaConf.to_container(config)), started)
    (log_dir / "metrics").mkdir(parents=True, exist_ok=True)
    places = {
        "VERL_FILE_LOGGER_PATH": str(log_dir / "metrics" / f"{started}.jsonl"),
        "TENSORBOARD_DIR": str(log_dir / "tensorboard"),
    }
    for name, place in places.items():
        os.environ.setdefault(name, place)
    share_environment(config, places)


def share_environment(config: DictConfig, names: Iterable[str]) -> None:
    """Has all processes of the run see variables of this environment, as those of a cluster would not."""
    for name in names:
        variable = f"ray_kwargs.ray_init.runtime_env.env_vars.{name}"
        if OmegaConf.select(config, variable) is None:  # else the user has said so
            OmegaConf.update(config, variable, os.environ[name], force_add=True)


def train(config: DictConfig) -> None:
    """Checks the run, then trains.

    Args:
        config: The composed configuration `writing_rl.yaml`.

    Raises:
        UserError: Something that a person can mend stands in the way; nothing expensive has been started.
        RunComplete: Its budget was spent before its last step.
        RunFailure: The training could not go on.
    """
    resolve(config)
    with contextlib.ExitStack() as stack:
        if config.trainer.device == "cpu":
            from writing_rl.cpu import environment

            environment.prepare()
            share_environment(config, environment.VARIABLES)
            warm_up(config, stack)
        check_and_run(config)


def warm_up(config: DictConfig, stack: contextlib.ExitStack) -> None:
    """Has a fork server start the processes of the run, unless a Ray cluster that runs already does so."""
    address = config.ray_kwargs.ray_init.get("address") or os.environ.get("RAY_ADDRESS")
    if address and address != "local":
        return
    from writing_rl.cpu.fast_start.fork_server import PYTHON_VARIABLE, fork_server

    python = stack.enter_context(fork_server())
    os.environ[PYTHON_VARIABLE] = python
    OmegaConf.update(config, "ray_kwargs.ray_init.runtime_env.py_executable", python, force_add=True)


def check_and_run(config: DictConfig) -> None:
    """The checks, cheapest first, then verl. Arguments and errors as `train`."""
    from writing_rl.launch.preflight import check_run

    check_run(config)
    place_logs(config)
    # All models are in folders of this machine by now, and no process on it needs the hub.
    if attention.installed() is not attention.Kernel.HUB and not uses_other_machines(config):
        os.environ["HF_HUB_OFFLINE"] = "1"
        share_environment(config, ["HF_HUB_OFFLINE"])

    # Imported only now: seconds of a good start, and never of a start with a mistake in it.
    import ray
    from verl.trainer.main_ppo import run_ppo
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    from writing_rl.launch.ray_start import with_a_second_try
    from writing_rl.trainer.runner import RemoteTaskRunner

    try:
        validate_config(
            config=config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config)
        )
    except (AssertionError, ValueError, KeyError, InstantiationException) as error:
        raise SettingError(f"verl does not accept the configuration: {str(error).splitlines()[0]}") from error
    try:
        with_a_second_try(lambda: run_ppo(config, task_runner_class=RemoteTaskRunner))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, RunComplete):
            raise error.cause from None
        if isinstance(error.cause, WritingRLError):
            raise RunFailure(str(error.cause)) from error
        raise RunFailure(f"{type(error.cause).__name__}: {error.cause}") from error
    except ConnectionError as error:
        raise RunFailure(f"Ray cannot be reached: {error}") from error
    except ray.exceptions.RayActorError as error:
        raise RunFailure(f"the trainer's process died: {error}") from error


@hydra.main(config_path="../config", config_name="writing_rl", version_base=None)
def _hydra_main(config: DictConfig) -> None:
    try:
        train(config)
    except RunComplete as complete:
        say(f"[writing-rl] ended before its last step: {complete}")
    except (UserError, RunFailure) as error:
        say(error_line(error), file=sys.stderr)
        sys.exit(1)


def main() -> None:
    """Runs a training; ends with one line and exit code 1 where something is wrong."""
    try:
        locate_verl_config()
        check_addresses(sys.argv[1:])
        sys.argv[1:] = with_profile(sys.argv[1:])
    except UserError as error:
        sys.exit(error_line(error))
    _hydra_main()


if __name__ == "__main__":
    main()
