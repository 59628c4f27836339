"""Stands in for `python`: has the fork server run a program, and behaves as if it had run it itself.

    python -I -S forked_python.py PYTHON SOCKET [script or -c code] [arguments]

It hands on arguments, environment, working folder and open files, forwards signals, and ends as the program
ends. Where the fork server is gone or says no, it becomes an ordinary Python. Only the standard library is
imported here: this starts once for every process of a run, and should cost no more than it must.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def open_files(but: int) -> list[int]:
    """Numbers of this process's open files, without one of them."""
    numbers = []
    for name in os.listdir("/proc/self/fd"):
        try:
            os.fstat(int(name))
        except OSError:
            continue  # the listing's own
        if int(name) != but:
            numbers.append(int(name))
    return sorted(numbers)


def ask(server: socket.socket, arguments: list[str]) -> int:
    """Asks for a process that runs the program; returns its id, or 0 if there will be none."""
    files = open_files(but=server.fileno())
    request = {
        "arguments": arguments,
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "group": os.getpgrp(),
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
        "files": files,
    }
    socket.send_fds(server, [json.dumps(request).encode("utf-8", "surrogateescape")], files)
    return int(server.recv(64) or 0)


def stand_for(pid: int, server: socket.socket) -> int:
    """Forwards signals to a process until it ends; returns its wait status."""
    # Signals come in through a pipe: a handler would not interrupt a `recv` that begins at the same moment.
    received, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in FORWARDED:
        signal.signal(number, lambda *_: None)
    while True:
        ready, _, _ = select.select([server.fileno(), received], [], [])
        if server.fileno() in ready:
            return int(server.recv(64) or signal.SIGKILL)
        for caught in os.read(received, 64):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, caught)


def end_as(status: int) -> None:
    """Ends this process in the way that `status`, the program's wait status, says."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code in FORWARDED:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def main() -> None:
    python, address, *arguments = sys.argv[1:]
    pid = 0
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with contextlib.suppress(OSError):
        server.connect(address)
        pid = ask(server, arguments)
    if not pid:
        os.execv(python, [python, *arguments])

    end_as(stand_for(pid, server))


if __name__ == "__main__":
    main()
