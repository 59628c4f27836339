"""One run at a time for an index file."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from datetime import datetime
from pathlib import Path

from writing_rl.errors import IndexFileError

#: Seconds in which the processes of a run that has just ended are gone.
WAIT_S = 5.0


class RunLock:
    """Held by the owner of an index file for as long as its process lives; a kill lets it go.

    It is a lock of the operating system (`flock`) on a file beside the index file, which also names the run
    that holds it. On shared storage it holds between machines as far as the storage supports that.
    """

    def __init__(self, index_file: str | Path) -> None:
        """Holds nothing yet.

        Args:
            index_file: The index file.
        """
        self._index_file = Path(index_file)
        self._path = self._index_file.with_name(f".{self._index_file.stem}.lock")
        self._file: int | None = None

    def acquire(self, wait_s: float = WAIT_S) -> None:
        """Takes the lock.

        Args:
            wait_s: How long to wait for another run to let it go.

        Raises:
            IndexFileError: Another run holds it; the message names it.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        end = time.monotonic() + wait_s
        while not (taken := self._take(file)) and time.monotonic() < end:
            time.sleep(0.1)
        if not taken:
            holder = os.read(file, 1000).decode("utf-8", "replace").strip() or "another run"
            os.close(file)
            raise IndexFileError(
                f"{self._index_file} is in use by {holder}: end that run, or give this one another "
                "EXPERIMENT_NAME"
            )
        since = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
        os.truncate(file, 0)
        os.write(file, f"the run of process {os.getpid()} on {socket.gethostname()}, since {since}".encode())
        self._file = file

    @staticmethod
    def _take(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Lets the lock go, if it is held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def check_free(index_file: str | Path, wait_s: float = WAIT_S) -> None:
    """No run uses an index file at this moment.

    Raises:
        IndexFileError: One does; the message names it.
    """
    lock = RunLock(index_file)
    lock.acquire(wait_s)
    lock.release()
