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
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from writing_rl.cpu import environment
from writing_rl.errors import SetupError

#: Seconds that loading a large checkpoint may take.
START_TIMEOUT_S = 1800.0
#: Seconds in which a server is expected to end by itself.
STOP_TIMEOUT_S = 20.0

#: On a CPU: bfloat16 is slow or missing there, and nothing is gained by compiling.
CPU_ARGUMENTS = ("--dtype", "float32", "--enforce-eager")

#: What begins each line of vLLM's log, and the line of an exception.
_TAG = re.compile(r"^\(\w+ pid=\d+\) ")
_EXCEPTION = re.compile(r"(\w+\.)*\w*Error: ")

_PR_SET_PDEATHSIG = 1


class Server(NamedTuple):
    """A server that is ready.

    Attributes:
        address: `host:port`.
        check: Raises SetupError where the server has ended by itself; the message names its log.
    """

    address: str
    check: Callable[[], None]


@contextlib.contextmanager
def serve(checkpoint: str, name: str, arguments: Sequence[str] = ()) -> Iterator[Server]:
    """Serves a checkpoint on the loopback interface while the context lasts.

    Args:
        checkpoint: A folder in Hugging Face's format, or a name at the hub.
        name: What its requests call the model.
        arguments: More of `vllm serve`'s options.

    Yields:
        Where it is.

    Raises:
        SetupError: vLLM is not installed, or the server ends before it is ready; the message holds its last
            error and names its log.
    """
    try:
        is_cpu = "cpu" in version("vllm")
    except PackageNotFoundError:
        raise SetupError("vLLM is not installed here: run bash scripts/setup_env.sh") from None
    port = _free_port()
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--model", checkpoint, "--served-model-name", name]
    command += [*(CPU_ARGUMENTS if is_cpu else ()), "--disable-uvicorn-access-log", *arguments]
    variables = dict(os.environ)
    if is_cpu:
        variables = {**environment.VARIABLES, "VLLM_CPU_KVCACHE_SPACE": "1", **variables}
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


def _wait_until_ready(server: subprocess.Popen[bytes], port: int, checkpoint: str, log: Path) -> None:
    given_up = time.monotonic() + START_TIMEOUT_S
    # A proxy of the environment has no business with the loopback interface.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with _heeding_ctrl_c():
        while time.monotonic() < given_up:
            if server.poll() is not None:
                raise SetupError(f"vLLM cannot serve {checkpoint}: {_last_error(log)} (its log: {log})")
            try:
                with opener.open(f"http://127.0.0.1:{port}/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
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
    """What a log says of the end: the first exception with the line after it, else the last line."""
    lines = [
        _TAG.sub("", line).strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    for number, line in enumerate(lines):
        if _EXCEPTION.match(line):
            return " ".join(lines[number : number + 2])[:300]
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
