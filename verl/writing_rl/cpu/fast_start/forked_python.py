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


def open_files() -> list[int]:
    """Numbers of this process's open files."""
    numbers = []
    for name in os.listdir("/proc/self/fd"):
        try:
            os.fstat(int(name))
        except OSError:
            continue  # the listing's own
        numbers.append(int(name))
    return sorted(numbers)


def ask(server: socket.socket, arguments: list[str], files: list[int]) -> int:
    """Asks for a process that runs the program; returns its id, or 0 if there will be none."""
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


def catch_signals() -> int:
    """Has signals that are to be forwarded come in through a pipe; returns its end to read from.

    A handler would not interrupt a `recv` that begins at the same moment.
    """
    received, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(received, False)
    signal.set_wakeup_fd(wake)
    for number in FORWARDED:
        signal.signal(number, lambda *_: None)
    return received


def caught(received: int) -> bytes:
    """The numbers of the signals that have come in."""
    try:
        return os.read(received, 64)
    except BlockingIOError:
        return b""


def stand_for(pid: int, server: socket.socket, received: int) -> int:
    """Forwards signals to a process until it ends; returns its wait status."""
    while True:
        ready, _, _ = select.select([server.fileno(), received], [], [])
        if server.fileno() in ready:
            return int(server.recv(64) or signal.SIGKILL)
        for number in caught(received):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def become_python(command: list[str], received: int) -> None:
    """Becomes an ordinary Python, which gets the signals that have come in meanwhile."""
    signal.set_wakeup_fd(-1)
    for number in FORWARDED:
        signal.signal(number, signal.SIG_DFL)
    for waiting in caught(received):
        os.kill(os.getpid(), waiting)
    os.execv(command[0], command)


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
    files = open_files()  # all of them were open for the program
    received = catch_signals()  # from now on, so that none ends this process and not what it stands for
    pid = 0
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with contextlib.suppress(OSError):
        server.connect(address)
        pid = ask(server, arguments, files)
    if not pid:
        become_python([python, *arguments], received)

    end_as(stand_for(pid, server, received))


if __name__ == "__main__":
    main()
