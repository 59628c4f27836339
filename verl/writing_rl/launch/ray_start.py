"""A second try where Ray does not come up in its time, which a busy machine is enough for.

Ray 2.60 gives its own processes 30 s, and its metrics agent 15 s of these, without a setting for either.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import psutil

from writing_rl.errors import RunFailure
from writing_rl.util.console import say

#: What Ray says (`ray/_private/node.py`); its exception has no class of its own.
TIMED_OUT = "The current node timed out during startup"
#: Processes of a cluster that this one has started; what they have started ends with them.
PROCESSES = ("gcs_server", "raylet")


def with_a_second_try(start: Callable[[], None]) -> None:
    """Calls a function that starts Ray and then does its work; calls it again where Ray did not come up.

    Raises:
        RunFailure: It did not come up the second time, either.
    """
    try:
        start()
    except Exception as error:
        if TIMED_OUT not in str(error):
            raise
        say("[writing-rl] Ray has not come up in time: trying once more")
        _end_what_came_up()
    else:
        return
    try:
        start()
    except Exception as error:
        if TIMED_OUT not in str(error):
            raise
        raise RunFailure(
            "Ray has not come up in time twice: the machine is too busy, or its /tmp is full; end what "
            "else runs here and start again"
        ) from None


def _end_what_came_up() -> None:
    """Ends the processes of the cluster that did not come up; Ray itself would at the end of this process."""
    started = []
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if process.name() in PROCESSES:
                process.kill()
                started.append(process)
    psutil.wait_procs(started, timeout=10)
