"""A checkpoint behind an endpoint of its own, served by vLLM for as long as a script needs it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from writing_rl.cpu import environment
from writing_rl.errors import SetupError
from writing_rl.models.placement import Placement, place
from writing_rl.models.server_memory import gpus_each, need_of, utilization
from writing_rl.util import local_http
from writing_rl.util.console import say
from writing_rl.util.gpus import Gpu, installed_gpus, visible_gpus

#: Seconds that loading a large checkpoint may take.
START_TIMEOUT_S = 1800.0
#: Seconds in which a server is expected to end by itself.
STOP_TIMEOUT_S = 20.0
#: Seconds in which a GPU's memory is expected to be free again when its server has ended.
RELEASE_TIMEOUT_S = 10.0
#: Seconds between two looks at it.
RELEASE_POLL_S = 0.5
#: MiB that may be missing then: of what else runs on the GPU.
RELEASE_SLACK_MIB = 512

#: On a CPU: bfloat16 is slow or missing there, and nothing is gained by compiling.
CPU_ARGUMENTS = ("--dtype", "float32", "--enforce-eager")

#: What begins each line of vLLM's log, and the line of an exception.
_TAG = re.compile(r"^\(\w+ pid=\d+\) ")
_EXCEPTION = re.compile(r"(\w+\.)*\w*Error: ")
#: What begins a logged line after that, and a logged line of an exception: a worker's is only logged.
_LOG_LINE = re.compile(r"^[A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d \[")
_LOGGED = re.compile(r"^ERROR \d\d-\d\d \d\d:\d\d:\d\d \[[^]]*\] ?")
#: In an exception that only points to another one.
_ELSEWHERE = "root cause"

_PR_SET_PDEATHSIG = 1


class Server(NamedTuple):
    """A server that is ready.

    Attributes:
        address: `host:port`.
        check: Raises SetupError where the server has ended by itself; the message names its log.
    """

    address: str
    check: Callable[[], None]


def placements(checkpoints: Sequence[str], arguments: Sequence[str] = ()) -> list[Placement | None]:
    """Where servers that run at the same time are to run.

    Args:
        checkpoints: What they serve.
        arguments: More of `vllm serve`'s options. What they say of memory and GPUs counts.

    Returns:
        One for each, in the same order; None for all where there is no GPU to choose.

    Raises:
        NoRoom: The free memory of the GPUs does not do for all of them at once.
        SetupError: vLLM is not installed, or the GPUs cannot be asked.
    """
    gpus = [] if _is_cpu() else visible_gpus()
    if not gpus:
        return [None for _ in checkpoints]
    needs = [need_of(checkpoint, arguments) for checkpoint in checkpoints]
    return [*place(gpus, needs, gpus_each=gpus_each(arguments), utilization=utilization(arguments))]


@contextlib.contextmanager
def serve(
    checkpoint: str, name: str, arguments: Sequence[str] = (), placement: Placement | None = None
) -> Iterator[Server]:
    """Serves a checkpoint on the loopback interface while the context lasts.

    Args:
        checkpoint: A folder in Hugging Face's format, or a name at the hub.
        name: What its requests call the model.
        arguments: More of `vllm serve`'s options.
        placement: Its GPUs, where it is not the only server; None gives it the one with the most free memory.

    Yields:
        Where it is.

    Raises:
        SetupError: vLLM is not installed, no GPU has room for it, or the server ends before it is ready; the
            message holds its last error and names its log.
    """
    is_cpu = _is_cpu()
    is_alone = placement is None
    if placement is None:
        (placement,) = placements([checkpoint], arguments)
    where = f" on {placement.describe()}" if placement else ""
    say(f"Starting vLLM with {checkpoint}{where}", file=sys.stderr)
    port = _free_port()
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--model", checkpoint, "--served-model-name", name]
    command += [*(CPU_ARGUMENTS if is_cpu else ()), "--disable-uvicorn-access-log"]
    command += [*(placement.arguments if placement else ()), *arguments]
    variables = dict(os.environ)
    if is_cpu:
        variables = {**environment.VARIABLES, "VLLM_CPU_KVCACHE_SPACE": "1", **variables}
    variables |= placement.variables if placement else {}
    descriptor, log_name = tempfile.mkstemp(prefix="writing-rl-vllm-", suffix=".log")
    log = Path(log_name)
    with open(descriptor, "wb") as output:
        # A session of its own: Ctrl-C is for this process, which then ends the server in order.
        server = subprocess.Popen(
            command,
            env=variables,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
    ready = False

    def check() -> None:
        if server.poll() is not None:
            raise SetupError(f"vLLM with {checkpoint} has ended: {_last_error(log)} (its log: {log})")

    try:
        _wait_until_ready(server, port, checkpoint, log)
        ready = True
        yield Server(f"127.0.0.1:{port}", check)
    finally:
        healthy = ready and server.poll() is None
        _end(server)
        if healthy:
            log.unlink(missing_ok=True)
    if is_alone and placement:
        with _heeding_ctrl_c():
            _await_memory(placement.gpus)


def _is_cpu() -> bool:
    """Whether vLLM is its build for CPUs.

    Raises:
        SetupError: It is not installed.
    """
    try:
        return "cpu" in version("vllm")
    except PackageNotFoundError:
        raise SetupError("vLLM is not installed here: run bash scripts/setup_env.sh") from None


def _await_memory(before: Sequence[Gpu]) -> None:
    """Waits until the memory of a server that has ended is free: the next one is placed by what is free.

    A driver may take a second for it after the last process is gone.

    Args:
        before: The server's GPUs before it started.
    """
    given_up = time.monotonic() + RELEASE_TIMEOUT_S
    with contextlib.suppress(SetupError):  # whoever starts the next server is told
        while time.monotonic() < given_up:
            free = {gpu.uuid: gpu.free_mib for gpu in installed_gpus()}
            if all(free.get(gpu.uuid, 0) >= gpu.free_mib - RELEASE_SLACK_MIB for gpu in before):
                return
            time.sleep(RELEASE_POLL_S)


def _wait_until_ready(server: subprocess.Popen[bytes], port: int, checkpoint: str, log: Path) -> None:
    given_up = time.monotonic() + START_TIMEOUT_S
    with _heeding_ctrl_c():
        while time.monotonic() < given_up:
            if server.poll() is not None:
                raise SetupError(f"vLLM cannot serve {checkpoint}: {_last_error(log)} (its log: {log})")
            try:
                with local_http.get(f"http://127.0.0.1:{port}/health", timeout_s=5):
                    return
            except OSError:
                time.sleep(0.2)
    raise SetupError(
        f"vLLM was not ready to serve {checkpoint} after {START_TIMEOUT_S:.0f} s (its log: {log})"
    )


@contextlib.contextmanager
def _heeding_ctrl_c() -> Iterator[None]:
    """Lets Ctrl-C end what blocks an event loop; asyncio heeds it only when the loop goes on."""
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _last_error(log: Path) -> str:
    """What a log says of the end: the first exception with the line after it, else the last line.

    On several GPUs, each has a worker, whose exception is only logged; what is raised then points to it.
    """
    lines = [
        _TAG.sub("", line).strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    logged = [_LOGGED.sub("", line).strip() for line in lines]
    for may_point in (False, True):
        for said in (lines, logged):
            for number, line in enumerate(said):
                if _EXCEPTION.match(line) and (may_point or _ELSEWHERE not in line):
                    more = [line for line in said[number + 1 : number + 2] if not _LOG_LINE.match(line)]
                    return " ".join([line, *more])[:300]
    return next((line for line in reversed(lines) if line), "it said nothing")[:300]


def _end(server: subprocess.Popen[bytes]) -> None:
    """Ends the server with all its processes."""
    if server.poll() is None:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(STOP_TIMEOUT_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end_with_parent() -> None:
    """Asks Linux to end the server when this process dies, also by SIGKILL."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
