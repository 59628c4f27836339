"""Writing a file so that it is whole at every moment, and telling one content from another."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

#: Of Linux's `renameat2`.
AT_FDCWD, RENAME_EXCHANGE = -100, 2

#: What it says where the system or the file system cannot exchange two files.
NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


def write_whole(path: Path, content: str | bytes) -> None:
    """Replaces a file's content at once, also through a kill, a power cut or a full disk.

    The content goes to a temporary file in the same folder, reaches the disk, and takes the old file's place.

    Args:
        path: The file; its folder is made where it is missing.
        content: Its new content.

    Raises:
        OSError: The folder cannot be written to or is full; the old file is as it was.
    """
    with _written(path, content) as temporary:
        os.replace(temporary, path)
        _sync_folder(path.parent)


@contextlib.contextmanager
def swap_whole(path: Path, content: bytes) -> Iterator[Path | None]:
    """Does the same, and shows the very file that it took the place of.

    So it can be seen whether somebody else wrote in the same moment. Where the file system cannot exchange
    two files at once, what is written in the microseconds between two system calls is not seen.

    Args:
        path: The file; its folder is made where it is missing.
        content: Its new content.

    Yields:
        The old file, while the context lasts, or None where there was none.

    Raises:
        OSError: See `write_whole`.
    """
    with _written(path, content) as temporary:
        try:
            _exchange(temporary, path)
            old: Path | None = temporary
        except FileNotFoundError:
            os.replace(temporary, path)
            old = None
        except OSError as error:
            if error.errno not in NOT_SUPPORTED:
                raise
            old = temporary.with_suffix(".old")
            os.link(path, old)
            os.replace(temporary, path)
        _sync_folder(path.parent)
        try:
            yield old
        finally:
            if old is not None:
                old.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


@contextlib.contextmanager
def _written(path: Path, content: str | bytes) -> Iterator[Path]:
    """A temporary file beside another one, whose content has reached the disk; gone after the context."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with open(descriptor, "wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, path.stat().st_mode & 0o777 if path.exists() else 0o644)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _exchange(one: Path, other: Path) -> None:
    """Two files of a file system change names in one step.

    Raises:
        OSError: One of them is missing, or the system cannot do it.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, "no renameat2 in this C library")
    if rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))


def _sync_folder(folder: Path) -> None:
    """Makes a rename in a folder last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
