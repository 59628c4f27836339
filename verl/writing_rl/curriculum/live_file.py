"""The index file of a run under way: the run writes it, and people read and edit it at the same time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from writing_rl.curriculum.edit_lock import editing
from writing_rl.curriculum.index_file import IndexText, check_index, naming, parse_index
from writing_rl.curriculum.state import Move
from writing_rl.errors import IndexFileError
from writing_rl.util.atomic_files import swap_whole

#: Seconds in which a file that cannot be read may still be in the middle of being saved by an editor.
SAVING_S = 1.0


class Found(NamedTuple):
    """What somebody else made of the file.

    Attributes:
        edits: The new index of each sample that was changed, by key.
        fault: What is wrong with the file, so that it does not count; empty where nothing is.
    """

    edits: Mapping[str, int]
    fault: str = ""

    def __bool__(self) -> bool:
        return bool(self.edits or self.fault)


NOTHING = Found({})


class SharedIndexFile:
    """Tells our own writes from those of others by the content, so that no clock has to be trusted."""

    def __init__(self, path: Path, indexes: Mapping[str, int], references: Mapping[str, int]) -> None:
        """Writes nothing yet.

        Args:
            path: The file.
            indexes: The index of each sample. It is kept, and read again with every call.
            references: How many references each sample has, by key.
        """
        self._path = path
        self._indexes = indexes
        self._references = references
        self._text = IndexText(indexes)
        #: The content that is known, and the last one of them that was sound: what edits are edits of.
        self._known = self._sound = bytes(self._text)

    def look(self) -> Found:
        """What somebody else made of the file since the last call; where it is something, call `write`."""
        with editing(self._path):
            return self._changes(self._path)

    def write(self, moves: Iterable[Move] = ()) -> Found:
        """Writes the file.

        Args:
            moves: The samples that moved since it was last written.

        Returns:
            What somebody else wrote since the last `look`, which this has replaced: to be applied, and to be
            followed by another `write`.

        Raises:
            IndexFileError: It cannot be written.
        """
        first: dict[str, int] = {}
        undone: dict[str, int] = {}
        for move in moves:
            first.setdefault(move.key, move.before)
            if move.why == "manual":
                undone.setdefault(move.key, move.before)
        self._text.update(self._indexes, first)
        text = bytes(self._text)
        with editing(self._path), naming(self._path), swap_whole(self._path, text) as old:
            known = self._known
            found = self._changes(old) if old is not None else NOTHING
            if not found and self._known != known:
                # Saved by somebody, yet as our last text, which lacks the edits that this one holds: undone.
                found = Found(undone)
            self._known = self._sound = text
        return found

    def _changes(self, file: Path) -> Found:
        """What is new in a file."""
        end = time.monotonic() + SAVING_S
        while True:
            content = b""
            try:
                content = file.read_bytes()
                if content == self._known:
                    return NOTHING
                edits = self._edits(content)
            except (OSError, IndexFileError) as error:
                if time.monotonic() < end:
                    time.sleep(0.05)
                    continue
                self._known = content
                if isinstance(error, OSError):
                    return Found({}, f"{self._path} cannot be read: {error.strerror}")
                return Found({}, f"{error}. It is kept as {self._keep(content)}")
            self._known = self._sound = content
            return Found(edits)

    def _edits(self, content: bytes) -> dict[str, int]:
        """What a person changed.

        Raises:
            IndexFileError: The content is impossible.
        """
        before = parse_index(self._path, self._sound)
        after = parse_index(self._path, content)
        check_index(self._path, after, self._references)
        if missing := next((key for key in before if key not in after), None):
            raise IndexFileError(f"{self._path} lacks id {missing}")
        return {key: index for key, index in after.items() if index != before[key]}

    def _keep(self, content: bytes) -> str:
        """Keeps a faulty content under another name, and returns that."""
        moment = datetime.now().strftime("%Y%m%d-%H%M%S")
        kept = self._path.with_name(f"{self._path.stem}.faulty-{moment}.json")
        try:
            kept.write_bytes(content)
        except OSError as error:
            return f"nothing ({error.strerror})"
        return kept.name
