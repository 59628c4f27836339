"""One writer at a time for an index file, for the moment that reading, changing and writing it takes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

#: Seconds between two tries.
PAUSE_S = 0.02


def edit_lock_of(index_file: Path) -> Path:
    """The hidden file beside an index file that is locked, never removed: removing it would let two in."""
    return index_file.with_name(f".{index_file.stem}.edit.lock")


@contextlib.contextmanager
def editing(index_file: Path, wait_s: float = 5.0) -> Iterator[bool]:
    """Keeps others who ask in the same way from changing an index file meanwhile.

    It is a lock of the operating system (`flock`), so a kill lets it go. It is another one than `RunLock`,
    which a run holds for as long as it lives. Asking for it again inside of it waits in vain.

    Args:
        index_file: The index file; it need not exist.
        wait_s: For how long, in seconds, to wait at most for others to let it go.

    Yields:
        Whether it is held. It is not where others kept it for too long, and, at once, where the folder cannot
        be written to or its storage knows no locks.
    """
    file = _open(edit_lock_of(index_file))
    held = file is not None and _take(file, wait_s)
    try:
        yield held
    finally:
        if file is not None:
            if held:
                # A process forked meanwhile has the file open, too: closing ours would not unlock it.
                with contextlib.suppress(OSError):
                    fcntl.flock(file, fcntl.LOCK_UN)
            os.close(file)


def _open(path: Path) -> int | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # For all whom the umask lets write the index file.
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        return None


def _take(file: int, wait_s: float) -> bool:
    end = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
        except OSError:
            return False
        time.sleep(PAUSE_S)
