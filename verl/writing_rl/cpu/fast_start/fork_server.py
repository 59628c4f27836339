"""A fork server: imports what the processes of a run need once, and forks each of them from there.

A run of verl is about ten Python processes, and each spends 6 to 20 s of CPU on importing torch,
transformers, verl and vLLM. On a machine with few cores that is two minutes before the first training step.
Forked from a process that has imported everything already, a worker is there in a fraction of a second and
shares its memory.

Ray and `multiprocessing` both let one name the Python that they start (`runtime_env: {py_executable}` and
`multiprocessing.set_executable`). The name that they get here is a small script that asks this server for a
process (`forked_python.py`) and, when the server cannot serve, becomes an ordinary Python: the server makes
a start faster and is never needed. It lives as long as the process that started it, and what it has forked
ends with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import json
import os
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from writing_rl.cpu.fast_start import ray_ids

#: Imported before the first fork: what the processes of a training import (verl 0.9.1, vLLM 0.28.0).
MODULES = (
    "ray._private.worker",
    "verl.trainer.main_ppo",
    "verl.workers.engine_workers",
    "writing_rl.trainer.runner",
    "writing_rl.trainer.rollout",
    "verl.workers.reward_manager.parallel",
    "verl.workers.rollout.vllm_rollout.vllm_async_server",
    "vllm.v1.engine.core",
    "vllm.v1.executor.multiproc_executor",
    "vllm.v1.worker.cpu_worker",
)

#: Environment variable with the path of the script that stands in for Python.
PYTHON_VARIABLE = "WRITING_RL_FORKED_PYTHON"

ENVIRONMENT = {
    # pyarrow's allocator would otherwise start a thread on import, and only the thread that forks goes along.
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    # Ray reads this and RAY_RAYLET_PID when it is imported, and never again. It is the number of the first
    # job of a new cluster, and the process with whose death a worker ends: here the one that starts the
    # cluster.
    "RAY_JOB_ID": "01000000",
}

#: Options that `multiprocessing` repeats for a new process; one that is forked has them already.
REPEATED_OPTIONS = ("-B", "-E", "-I", "-s", "-S", "-u")


#: Marks a selector's key of a forked process. File numbers alone would not do: one that is closed for an
#: event may be in use again while a later event of the same moment still names it.
ENDED = object()


@dataclass(frozen=True)
class Request:
    """A program to run in a forked process.

    Attributes:
        arguments: What follows `python` on a command line: a script, or `-c` and code; then its arguments.
        environment: The whole environment.
        folder: The working folder.
        group: The process group; Ray kills the whole group of a worker that has ended.
        niceness: The scheduling priority; Ray lowers that of its workers.
        files: Number in the new process -> open file in this one.
    """

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    group: int
    niceness: int
    files: dict[int, int]


@contextlib.contextmanager
def fork_server(modules: tuple[str, ...] = MODULES) -> Iterator[str]:
    """Runs a fork server for as long as the context lasts.

    Args:
        modules: What it imports before it serves. It says no to everybody where that fails.

    Yields:
        Path of an executable that can be used like `python` with a script or `-c`.
    """
    folder = Path(tempfile.mkdtemp(prefix="writing-rl-"))
    address = folder / "socket"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(address))
    listener.listen(64)  # who comes before the imports are done waits here
    client = Path(__file__).with_name("forked_python.py")
    python = folder / "python"
    command = shlex.join([sys.executable, "-I", "-S", str(client), sys.executable, str(address)])
    python.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    python.chmod(0o700)
    server = subprocess.Popen(
        [sys.executable, "-m", "writing_rl.cpu.fast_start.fork_server", str(listener.fileno()), *modules],
        stdin=subprocess.PIPE,
        pass_fds=[listener.fileno()],
        process_group=0,  # an interrupt at the terminal is for the one who started us
        env={**os.environ, **ENVIRONMENT, "RAY_RAYLET_PID": str(os.getpid())},
    )
    listener.close()
    try:
        yield str(python)
    finally:
        assert server.stdin is not None
        server.stdin.close()
        try:
            server.wait(timeout=0.5)
        except subprocess.TimeoutExpired:  # still importing: nobody waits for it any more
            server.kill()
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def receive(connection: socket.socket) -> Request:
    """Reads what `forked_python.py` sends.

    Raises:
        ValueError: It is no request that can be served.
    """
    text, files, _, _ = socket.recv_fds(connection, 1 << 20, 253)
    try:
        message = json.loads(text.decode("utf-8", "surrogateescape"))
        arguments = message["arguments"]
        while arguments and arguments[0] in REPEATED_OPTIONS:
            arguments.pop(0)
        if not arguments or (arguments[0].startswith("-") and arguments[0] != "-c"):
            raise ValueError("an option of the interpreter comes too late for a process that runs already")
        return Request(
            arguments=arguments,
            environment=message["environment"],
            folder=message["folder"],
            group=message["group"],
            niceness=message["niceness"],
            files=dict(zip(message["files"], files, strict=True)),
        )
    except (ValueError, KeyError):
        for file in files:
            os.close(file)
        raise


def serve(listener: socket.socket, lifeline: int) -> Request | None:
    """Forks a process for each request, until the lifeline ends.

    Args:
        listener: Where `forked_python.py` connects.
        lifeline: A pipe's end; when the other end is closed, everything that was forked is killed.

    Returns:
        In a forked process, the request that it is to fulfil; in the server, None at the end.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(lifeline, selectors.EVENT_READ)
        clients: dict[int, tuple[socket.socket, int]] = {}  # by process file: its client and process id
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    connection, _ = listener.accept()
                    try:
                        request = receive(connection)
                    except (ValueError, KeyError, OSError):
                        connection.close()  # it becomes an ordinary Python
                        continue
                    pid = os.fork()
                    if pid == 0:
                        return request
                    for file in request.files.values():
                        os.close(file)
                    process = os.pidfd_open(pid)
                    clients[process] = connection, pid
                    selector.register(process, selectors.EVENT_READ, data=ENDED)
                    selector.register(connection, selectors.EVENT_READ, data=(connection, pid))
                    with contextlib.suppress(OSError):
                        connection.send(str(pid).encode())
                elif key.fileobj == lifeline:
                    for _, pid in clients.values():
                        os.kill(pid, signal.SIGKILL)
                    return None
                elif key.data is ENDED:
                    connection, pid = clients.pop(key.fd)
                    _, status = os.waitpid(pid, 0)
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    with contextlib.suppress(KeyError):
                        selector.unregister(connection)
                    with contextlib.suppress(OSError):
                        connection.send(str(status).encode())
                    connection.close()
                else:  # the client was killed: so must be what it stands for
                    connection, pid = key.data
                    if connection.fileno() >= 0:  # else it has just ended itself, in the same moment
                        os.kill(pid, signal.SIGKILL)
                        selector.unregister(connection)


def become(request: Request) -> None:
    """Turns a freshly forked process into the one that was asked for, and runs its program."""
    # Only what differs: process titles are written over the old `environ`, which must be found again.
    for name in os.environ.keys() - request.environment.keys():
        del os.environ[name]
    for name, value in request.environment.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    os.chdir(request.folder)
    os.setpgid(0, request.group)
    os.setpriority(os.PRIO_PROCESS, 0, request.niceness)
    high = {number: fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 512) for number, file in request.files.items()}
    for file in request.files.values():
        os.close(file)
    for number, file in high.items():
        os.dup2(file, number)
        os.close(file)
    if "ray" in sys.modules:  # it read RAY_* when it was imported; `ray.init` has set some since
        sys.modules["ray"]._raylet.Config.initialize("")
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # Python's own generator does so itself after a fork

    main = types.ModuleType("__main__")
    program, *arguments = request.arguments
    if program == "-c":
        code, *arguments = arguments
        sys.path[0] = ""
        name = "<string>"
    else:
        code = Path(program).read_text()
        sys.path[0] = str(Path(program).parent)
        main.__file__ = name = program
    sys.argv = [program, *arguments]
    sys.modules["__main__"] = main
    exec(compile(code, name, "exec"), main.__dict__)  # the program of one of our own processes


def import_all(modules: list[str]) -> None:
    """Imports what the processes to come need."""
    with ray_ids.drawn_elsewhere() if "ray._private.worker" in modules else contextlib.nullcontext():
        for module in modules:
            importlib.import_module(module)


def obstacle_to_forking() -> str | None:
    """Why a process forked from this one could not be trusted, or None."""
    threads = os.listdir("/proc/self/task")
    if len(threads) > 1:
        return f"the imports left {len(threads) - 1} threads, which a fork would lose"
    if "ray" in sys.modules and not ray_ids.differ_after_a_fork():
        return "the imports used Ray's random numbers, which would repeat in every process"
    return None


def main() -> None:
    listener = socket.socket(fileno=int(sys.argv[1]))
    import_all(sys.argv[2:])
    if obstacle := obstacle_to_forking():
        sys.exit(f"[fork server] not used: {obstacle}")
    gc.collect()
    gc.freeze()  # the collector would otherwise write to, and so copy, pages that all processes share
    lifeline = os.dup(0)
    address = listener.getsockname()
    request = serve(listener, lifeline)
    if request is None:
        shutil.rmtree(Path(address).parent, ignore_errors=True)  # the one who made it may have been killed
        os._exit(0)
    listener.close()
    os.close(lifeline)
    become(request)


if __name__ == "__main__":
    main()
