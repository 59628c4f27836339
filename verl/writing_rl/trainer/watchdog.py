"""Noticing that a process of the run has died, so that the run ends instead of waiting for it.

verl 0.9.1 waits without a limit in several places (its replay buffer, collectives between ranks, the weight
transfer to vLLM), and a dead process on the other side leaves it waiting.
"""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping

import ray
from ray.actor import ActorHandle

from writing_rl.errors import RunFailure

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
        with urllib.request.urlopen(f"http://{address}/health", timeout=HEALTH_TIMEOUT_S):
            return
    except TimeoutError:
        return  # busy, not dead: a dead process refuses the connection
    except urllib.error.HTTPError as error:
        raise RunFailure(f"{name} died: its engine reports {error.code} at /health") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            return
        raise RunFailure(f"{name} died: {error.reason}") from None
    except OSError as error:
        raise RunFailure(f"{name} died: {error}") from None


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def wait_for(thread: threading.Thread, watchdog: Watchdog) -> None:
    """Waits until a thread has finished or something that it needs has died.

    Raises:
        RunFailure: Something has died.
    """
    while thread.is_alive():
        if watchdog.failed.is_set():
            # The thread may be about to fail of the same cause with a better message.
            thread.join(timeout=5.0)
            if thread.is_alive():
                assert watchdog.failure is not None
                raise watchdog.failure
            return
        thread.join(timeout=0.2)
        time.sleep(0)
