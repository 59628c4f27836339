"""A curriculum in a checkpoint: where every sample stands, in `global_step_N/`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from writing_rl.curriculum.index_file import read_index, write_index
from writing_rl.curriculum.state import Saved
from writing_rl.errors import IndexFileError
from writing_rl.util.atomic_files import write_whole

#: The indexes, in the format of the index file.
INDEX_FILE = "reference_index.json"
#: What an index file has no place for: streaks, and which samples are finished.
STATE_FILE = "curriculum.json"


def write_saved(folder: Path, saved: Saved) -> None:
    """Writes a curriculum into a checkpoint's folder.

    Raises:
        IndexFileError: It cannot be written.
    """
    rest = {name: value for name, value in dataclasses.asdict(saved).items() if name != "indexes"}
    try:
        write_whole(folder / STATE_FILE, json.dumps(rest) + "\n")
    except OSError as error:
        raise IndexFileError(f"{folder / STATE_FILE} cannot be written: {error.strerror or error}") from error
    write_index(folder / INDEX_FILE, saved.indexes)


def read_saved(folder: Path) -> Saved:
    """Reads a curriculum from a checkpoint's folder; one without a state file has no streaks.

    Raises:
        IndexFileError: The index file is missing or damaged, or the state file is damaged.
    """
    if not (folder / INDEX_FILE).exists():
        raise IndexFileError(
            f"{folder} holds no curriculum: copy an index file there as {INDEX_FILE} to go on with its state"
        )
    indexes = read_index(folder / INDEX_FILE)
    try:
        return Saved(indexes, **json.loads((folder / STATE_FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Saved(indexes)
    except (OSError, ValueError, TypeError) as error:
        raise IndexFileError(
            f"{folder / STATE_FILE} is damaged ({error}): remove it to go on without the streaks"
        ) from None
