"""Composing the configuration without importing verl, which would cost seconds before the first check."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from writing_rl.errors import SetupError
from writing_rl.judging.address import check_address
from writing_rl.launch import attention
from writing_rl.settings import defaults
from writing_rl.util.gpus import visible_gpus

#: `config/writing_rl.yaml` finds verl's configuration through this variable.
VARIABLE = "VERL_CONFIG_DIR"


def locate_verl_config() -> None:
    """Sets the variable that our root configuration reads.

    Hydra's own `pkg://verl.trainer.config` would import verl, and with it the platform of the run, before the
    configuration says which platform that is.

    Also registers the defaults of our own block, what profiles ask about the machine
    (`${installed_attention:}`; `${visible_gpus:NUMBER}`, whose number stands for a machine without any), and
    the sum `${writing_length:PROMPT,RESPONSE}`.

    Raises:
        SetupError: verl is not installed.
    """
    OmegaConf.register_new_resolver("installed_attention", attention.implementation, replace=True)
    OmegaConf.register_new_resolver("visible_gpus", lambda most: len(visible_gpus()) or most, replace=True)
    OmegaConf.register_new_resolver("writing_length", lambda prompt, text: prompt + text, replace=True)
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store("writing_rl_defaults", {"writing_rl": defaults()})
    spec = importlib.util.find_spec("verl")
    if spec is None or spec.origin is None:
        raise SetupError("verl is not installed in this Python: run bash scripts/setup_env.sh")
    os.environ[VARIABLE] = str(Path(spec.origin).parent / "trainer" / "config")


def check_addresses(overrides: Iterable[str]) -> None:
    """Refuses a judge's address that holds a secret before anything shows it, as Hydra's errors would.

    Args:
        overrides: As they stand on the command line.

    Raises:
        SettingError: One does, or cannot be an address.
    """
    for override in overrides:
        name, _, value = override.partition("=")
        setting, value = name.lstrip("+"), value.strip("'\"")
        if setting == "writing_rl.judge.base_url" and value not in ("", "null") and "${" not in value:
            check_address(value, setting)
    if address := os.environ.get("OPENAI_BASE_URL"):
        check_address(address, "OPENAI_BASE_URL")


def compose(overrides: list[str]) -> DictConfig:
    """Composes our root configuration outside of a run, unresolved.

    Args:
        overrides: Hydra overrides, such as `profile=gpu`.

    Raises:
        SettingError: A judge's address cannot be used.
    """
    check_addresses(overrides)
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    locate_verl_config()
    with initialize_config_dir(str(Path(__file__).parents[1] / "config"), version_base=None):
        return hydra_compose("writing_rl", overrides)
