"""Noticing that a process of the run has died, so that the run ends instead of waiting for it.

verl 0.9.1 waits without a limit in several places (its replay buffer, collectives between ranks, the weight
transfer to vLLM), and a dead process on the other side leaves it waiting.
"""

from __future__ import annotations

import threading
import urllib.error
from collections.abc import Callable, Mapping
from http.client import HTTPException

import ray
from ray.actor import ActorHandle

from writing_rl.errors import RunFailure
from writing_rl.util import local_http

#: Seconds between two looks.
INTERVAL_S = 2.0
#: Seconds that a vLLM server may take to say that it is well; it may be busy in a synchronous part.
HEALTH_TIMEOUT_S = 30.0


class Watchdog:
    """Watches Ray actors and vLLM servers in a thread of its own.

    Attributes:
        failure: What has died, once something has.
        failed: Set at that moment.
    """

    def __init__(self) -> None:
        self.failure: RunFailure | None = None
        self.failed = threading.Event()
        self._actors: dict[str, ActorHandle] = {}
        self._servers: dict[str, str] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writing-rl-watchdog", daemon=True)
        self._thread.start()

    def watch(self, actors: Mapping[str, ActorHandle], servers: Mapping[str, str] | None = None) -> None:
        """Adds processes to the watch.

        Args:
            actors: Ray actors by the name that an error message gives them.
            servers: Addresses `host:port` of vLLM servers, likewise.
        """
        self._actors = {**self._actors, **actors}
        self._servers = {**self._servers, **(servers or {})}

    def stop(self) -> None:
        """Ends the watch."""
        self._stopped.set()

    def _run(self) -> None:
        # One question stays with each actor until it is answered: a busy actor answers late, a dead one at
        # once.
        pending: dict[ray.ObjectRef, str] = {}
        while not self._stopped.wait(INTERVAL_S):
            try:
                for name in self._actors.keys() - set(pending.values()):
                    pending[self._actors[name].__ray_ready__.remote()] = name
                answered, _ = (
                    ray.wait(list(pending), num_returns=len(pending), timeout=0) if pending else ([], [])
                )
                for reference in answered:
                    name = pending.pop(reference)
                    try:
                        ray.get(reference)
                    except ray.exceptions.RayError as error:
                        raise RunFailure(f"{name} died: {_first_line(error)}") from None
                for name, address in self._servers.items():
                    _check_health(name, address)
            except RunFailure as failure:
                if not self._stopped.is_set():
                    self.failure = failure
                    self.failed.set()
                return


def _check_health(name: str, address: str) -> None:
    """Asks a vLLM server whether its engine lives.

    Raises:
        RunFailure: It says no, or nobody is there any more.
    """
    try:
        with local_http.get(f"http://{address}/health", HEALTH_TIMEOUT_S):
            return
    except TimeoutError:
        return  # busy, not dead: a dead process refuses the connection
    except urllib.error.HTTPError as error:
        raise RunFailure(f"{name} died: its engine reports {error.code} at /health") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            return
        raise RunFailure(f"{name} died: {error.reason}") from None
    except (OSError, HTTPException) as error:
        raise RunFailure(f"{name} died: {error}") from None


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def run_watched(function: Callable[[], None], watchdog: Watchdog) -> None:
    """Runs a function in a thread until it ends, or until something that it needs has died.

    In a thread, because a trainer that waits for a dead process cannot be interrupted, only left.

    Raises:
        RunFailure: Something has died; whatever the function made of that is added to the message.
        Exception: What the function raised where nothing has died.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="writing-rl-training", daemon=True)
    thread.start()
    while thread.is_alive() and not watchdog.failed.is_set():
        thread.join(timeout=0.2)
    # A death shows in two ways, and the other may come a little later.
    if watchdog.failed.is_set():
        thread.join(timeout=2 * INTERVAL_S)
    elif raised:
        watchdog.failed.wait(timeout=2 * INTERVAL_S)
    watchdog.stop()
    if watchdog.failure is not None and (raised or thread.is_alive()):
        raise watchdog.failure from (raised[0] if raised else None)
    if raised:
        raise raised[0]
