"""What a stage on the way to a training set has found out: JSON lines, and beside them what made them.

`NAME.jsonl` gets a line with each answer, as it comes; of several lines with one key the last one counts.
`NAME.made.json` says with which settings, and what each start worked with: inputs, models, versions. A stage
that is started again reads its file and asks only for what is missing; the next stage reads the same file, or
another one that a person has made.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

import orjson

from writing_rl import __version__
from writing_rl.errors import DataError, SettingError
from writing_rl.util.atomic_files import sha256_of, write_whole
from writing_rl.util.jsonl import write_all

Kept = TypeVar("Kept")

#: Name of what identifies a line within its file.
KEY = "key"


def made_file(path: Path) -> Path:
    """The file that says how a stage's file was made."""
    return path.with_suffix(".made.json")


class StageFile(Generic[Kept]):
    """A stage's file while the stage is at work; one process at a time.

    Attributes:
        found: What is kept in memory of each line, by its key.
    """

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, Any],
        inputs: Sequence[Path],
        start: Mapping[str, Any],
        keep: Callable[[Mapping[str, Any]], Kept],
        *,
        forget: Callable[[Mapping[str, Any]], bool] = lambda _: False,
    ) -> None:
        """Touches nothing yet.

        Args:
            path: The file of JSON lines.
            settings: What makes its lines what they are. A file of other settings is not gone on with.
            inputs: What is read; noted with checksums.
            start: What else is noted of this start, such as the models; it may differ from start to start.
            keep: What is kept in memory of a line.
            forget: Which lines of an earlier start do not count, so that they are asked for again.

        Raises:
            SettingError: The file has no name for JSON lines.
        """
        if path.suffix != ".jsonl":
            raise SettingError(f"{path}: give it a name that ends in .jsonl")
        self._path = path
        self._settings = json.loads(json.dumps(settings))  # as they are read back: tuples are lists
        self._inputs = inputs
        self._start = dict(start)
        self._starts: list[Mapping[str, Any]] = []
        self._keep = keep
        self._forget = forget
        self._file = -1
        self.found: dict[str, Kept] = {}

    def __enter__(self) -> StageFile[Kept]:
        """Opens the file, and reads what an earlier start has left in it.

        Raises:
            SettingError: Another process uses it, or it was made with other settings.
            DataError: It is damaged or something else.
            OSError: It cannot be written to, or an input cannot be read.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise SettingError(f"{self._path} is in use by another process: wait until it ends") from None
            if os.fstat(self._file).st_size:
                self._check_settings()
                self._read()
            self._note()
        except BaseException:
            os.close(self._file)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def add(self, key: str, entry: Mapping[str, Any]) -> None:
        """Appends a line.

        Args:
            key: What identifies it.
            entry: What else is in it.

        Raises:
            OSError: The disk is full, for example; the file is as it was.
        """
        line = {KEY: key, **entry}
        content = (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "replace")
        write_all(self._file, content, self._path)
        self.found[key] = self._keep(line)

    def _check_settings(self) -> None:
        made = made_file(self._path)
        try:
            note = json.loads(made.read_text(encoding="utf-8"))
            settings, self._starts = dict(note["settings"]), list(note["starts"])
        except FileNotFoundError:
            raise SettingError(
                f"{self._path} has no {made.name} beside it, which says what made it: name another file"
            ) from None
        except (OSError, ValueError, KeyError, TypeError):
            raise DataError(f"{made} is damaged: mend it, or name another file than {self._path}") from None
        for name in sorted(settings.keys() | self._settings.keys()):
            before, now = settings.get(name), self._settings.get(name)
            if before != now:
                raise SettingError(
                    f"{self._path} was made with {name} = {before!r:.60}, and now it is {now!r:.60}: name "
                    "another file, or remove this one to start over"
                )

    def _read(self) -> None:
        """Reads the lines, and cuts off what a kill has torn."""
        whole = 0
        with open(self._path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                try:
                    entry = orjson.loads(line)
                    key = entry[KEY]
                    if self._forget(entry):
                        self.found.pop(key, None)
                    else:
                        self.found[key] = self._keep(entry)
                except (ValueError, KeyError, TypeError):
                    raise DataError(
                        f"{self._path}, line {number} is none of this file's lines: mend or remove it"
                    ) from None
        if whole < os.fstat(self._file).st_size:
            os.ftruncate(self._file, whole)

    def _note(self) -> None:
        """Says how the file is made."""
        start = {
            "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            **self._start,
            "inputs": [{"path": str(path), "sha256": sha256_of(path)} for path in self._inputs],
            "versions": {"writing_rl": __version__, "python": platform.python_version()},
        }
        note = {"settings": self._settings, "starts": [*self._starts, start]}
        content = json.dumps(note, ensure_ascii=False, indent=2) + "\n"
        # Names of files need not be UTF-8.
        write_whole(made_file(self._path), content.encode("utf-8", "replace"))
