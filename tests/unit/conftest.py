"""Fixtures of the tests of what is checked before a run: configurations, models and GPUs."""

from __future__ import annotations

import functools
import os
import pickle
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from writing_rl.launch.compose import compose
from writing_rl.models.model_shape import ModelShape
from writing_rl.settings import defaults
from writing_rl.util.gpus import Gpu


@functools.cache
def _profile(name: str) -> bytes:
    settings = ["trainer.n_gpus_per_node=8", "actor_rollout_ref.model.path=model"]
    return pickle.dumps(compose([f"profile={name}", *settings]))  # pickle copies many times faster than copy


@pytest.fixture
def shipped(repository: Path) -> DictConfig:
    """The shipped configuration's own part, without verl's and without a profile."""
    root = OmegaConf.load(repository / "verl" / "writing_rl" / "config" / "writing_rl.yaml")
    merged = OmegaConf.merge({"writing_rl": defaults()}, root)
    assert isinstance(merged, DictConfig)
    return merged


@pytest.fixture(scope="session")
def composed() -> Callable[..., DictConfig]:
    """Composes a profile for 8 GPUs, with `setting=value` on top; composing these as well would take long."""

    def make(profile: str, *settings: str) -> DictConfig:
        config: DictConfig = pickle.loads(_profile(profile))
        for setting, value in (text.split("=", 1) for text in settings):
            OmegaConf.update(config, setting, yaml.safe_load(value))
        return config

    return make


def _qwen(
    billions: float, hidden: int, layers: int, heads: int, groups: int, inner: int, *, tied: bool
) -> ModelShape:
    vocabulary = 152_064 if hidden == 3584 else 151_936
    wide, narrow = 128 * heads, 128 * groups
    matrices = (
        *((wide, hidden), (narrow, hidden), (narrow, hidden), (hidden, wide)),
        *((inner, hidden), (inner, hidden), (hidden, inner)),
    )
    return ModelShape(
        parameters=int(billions * 1e9),
        tied=tied,
        vocabulary=vocabulary,
        hidden=hidden,
        layers=layers,
        heads=heads,
        key_value_heads=groups,
        head_size=128,
        positions=32_768,
        bytes=int(2e9 * billions),
        largest=vocabulary * hidden,
        matrices=matrices * layers,
    )


@pytest.fixture(scope="session")
def models() -> Mapping[str, ModelShape]:
    """Models that people train, by their names."""
    return {
        "Qwen2.5-1.5B": _qwen(1.544, 1536, 28, 12, 2, 8960, tied=True),
        "Qwen2.5-3B": _qwen(3.086, 2048, 36, 16, 2, 11008, tied=True),
        "Qwen2.5-7B": _qwen(7.616, 3584, 28, 28, 4, 18944, tied=False),
        "Qwen3-8B": _qwen(8.191, 4096, 36, 32, 8, 12288, tied=False),
        "Qwen2.5-32B": _qwen(32.76, 5120, 64, 40, 8, 27648, tied=False),
    }


#: MiB that `nvidia-smi` shows, by what people call them.
_MEMORY = {24: 24564, 80: 81559, 141: 143771, 180: 183359}


@pytest.fixture(scope="session")
def gpus() -> Callable[[int, int], list[Gpu]]:
    """Makes a number of idle GPUs, of 24, 80, 141 or 180 GB."""

    def make(count: int, gigabytes: int) -> list[Gpu]:
        total = _MEMORY[gigabytes]
        return [
            Gpu(number, f"GPU-{number}", f"GPU {gigabytes}GB", total, total - 500, "580.65.06", (9, 0))
            for number in range(count)
        ]

    return make


@pytest.fixture(autouse=True)
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test of a unit starts no process; those that do are in `tests/cli`."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a test of a unit starts a process: it belongs to tests/cli")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    monkeypatch.setattr(os, "fork", refuse)
