from __future__ import annotations

import os
import sys
from types import ModuleType, SimpleNamespace

import pytest

from writing_rl.errors import SetupError
from writing_rl.patches.weight_sync import JOB_VARIABLE, patch_sender, patch_server, unique_job_id

#: What Ray says in a process of a training; each training's own cluster counts its jobs from 1.
ray = SimpleNamespace(get_runtime_context=lambda: SimpleNamespace())


class vLLMHttpServer:
    def __init__(self, replica_rank: int) -> None:
        self.replica_rank = replica_rank
        os.environ["VERL_RAY_JOB_ID"] = ray.get_runtime_context().get_job_id()


class ServerAdapter:
    def __init__(self, rank: int) -> None:
        self.replica_rank = 0
        job_id = ray.get_runtime_context().get_job_id()
        self.zmq_handle = f"ipc:///tmp/rl-colocate-zmq-{job_id}-replica-{self.replica_rank}-rank-{rank}.sock"


def module(name: str, kind: type) -> ModuleType:
    """A module with a fresh copy of a class, as verl has it."""
    made = ModuleType(name)
    setattr(made, kind.__name__, type(kind.__name__, (), dict(kind.__dict__)))
    return made


def names(monkeypatch: pytest.MonkeyPatch, cluster: str) -> tuple[str, str]:
    """The socket as the sender calls it, and as vLLM's workers do, in a training with its own cluster."""
    monkeypatch.setenv(JOB_VARIABLE, "")
    context = SimpleNamespace(get_job_id=lambda: "01000000", gcs_address=cluster)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
    monkeypatch.setitem(sys.modules, "ray", ray)
    server, sender = module("server", vLLMHttpServer), module("sender", ServerAdapter)
    patch_server(server)
    patch_sender(sender)
    assert server.vLLMHttpServer(3).replica_rank == 3
    listened = f"ipc:///tmp/rl-colocate-zmq-{os.environ[JOB_VARIABLE]}-replica-0-rank-2.sock"
    return sender.ServerAdapter(rank=2).zmq_handle, listened


def test_both_sides_of_a_training_meet_and_those_of_two_trainings_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = (names(monkeypatch, f"10.0.0.1:{port}") for port in (6379, 6380))
    assert first[0] == first[1]
    assert second[0] == second[1]
    assert first[0] != second[0]
    assert len(first[0].removeprefix("ipc://")) < 100  # the system's limit is 107


def test_a_name_holds_nothing_that_a_path_does_not() -> None:
    assert unique_job_id("01000000", "fe80::1/64:6379") == "01000000-fe80--1-64-6379"


def test_another_verl_is_not_patched(monkeypatch: pytest.MonkeyPatch) -> None:
    class vLLMHttpServer:
        def __init__(self) -> None: ...

    with pytest.raises(SetupError, match=r"vLLMHttpServer\.__init__ was written for verl 0\.9\.1"):
        patch_server(module("server", vLLMHttpServer))
