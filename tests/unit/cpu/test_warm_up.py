"""Whose Ray starts the processes of a run on a CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from omegaconf import OmegaConf

from writing_rl.cpu.fast_start import fork_server
from writing_rl.launch.main import warm_up


@pytest.mark.parametrize("address", [None, "local", "10.0.0.1:6379"])
@pytest.mark.parametrize("variable", [None, "local", "10.0.0.1:6379"])
def test_a_fork_server_starts_the_processes_of_a_ray_of_our_own(
    address: str | None, variable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def server() -> Iterator[str]:
        yield "the-forking-python"

    monkeypatch.setattr(fork_server, "fork_server", server)
    monkeypatch.setenv(fork_server.PYTHON_VARIABLE, "")
    monkeypatch.delenv("RAY_ADDRESS")
    if variable is not None:
        monkeypatch.setenv("RAY_ADDRESS", variable)
    config = OmegaConf.create({"ray_kwargs": {"ray_init": {"address": address, "runtime_env": {}}}})
    with contextlib.ExitStack() as stack:
        warm_up(config, stack)

    python = config.ray_kwargs.ray_init.runtime_env.get("py_executable")
    ours = (address or variable) in (None, "local")  # the setting goes before the variable
    assert python == ("the-forking-python" if ours else None)
