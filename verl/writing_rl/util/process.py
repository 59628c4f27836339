"""What a process forks ends with it.

verl (v0.9.1, `verl/experimental/reward_loop/router/naive_router.py`) forks the router of a judge that it
serves by `multiprocessing`, as a daemon. Python ends its daemons when it comes to its own end, but the
processes of Ray are killed: the router would stay for ever, with its port and half a gigabyte of memory.
"""

from __future__ import annotations

import ctypes
import os
import signal

#: Of `<linux/prctl.h>`: the signal that a process gets when the thread that forked it has ended.
PR_SET_PDEATHSIG = 1


def end_forks_with_us() -> None:
    """From now on what this process forks is killed at the end of the thread that forked it. Only on Linux.

    That is so for `os.fork` and `multiprocessing`, and not for `subprocess`.
    """
    libc = ctypes.CDLL(None)
    forking = 0

    def note_parent() -> None:
        nonlocal forking
        forking = os.getpid()

    def follow_parent() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != forking:  # it ended before we had asked for the signal
            os._exit(1)

    os.register_at_fork(before=note_parent, after_in_child=follow_parent)
