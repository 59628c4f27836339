"""The reference index file `{"<sample id>": <index>, ...}`, which people may read and edit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from writing_rl.errors import IndexFileError
from writing_rl.files import write_whole


def read_index(path: str | Path) -> dict[str, int]:
    """Reads an index file.

    Raises:
        IndexFileError: It is missing, is not JSON, or holds something else than ids with indexes from 0.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise IndexFileError(f"{path} does not exist: make it with scripts/create_index_file.py") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise IndexFileError(
            f"{path} is not JSON ({error}): mend it, or start over with scripts/create_index_file.py --reset"
        ) from None
    except OSError as error:
        raise IndexFileError(f"{path} cannot be read: {error.strerror}") from None
    if not isinstance(content, dict):
        raise IndexFileError(
            f"{path} must hold one JSON object of ids and indexes, not a {type(content).__name__}"
        )
    for key, index in content.items():
        if isinstance(index, bool) or not isinstance(index, int):
            raise IndexFileError(
                f"{path}, id {key}: the index is {json.dumps(index)}, it must be a whole number"
            )
        if index < 0:
            raise IndexFileError(f"{path}, id {key}: the index is {index}, the lowest is 0")
    return content


def check_index(path: str | Path, indexes: Mapping[str, int], references: Mapping[str, int]) -> None:
    """Checks the content of an index file against the data.

    Args:
        path: The file, for messages.
        indexes: Its content.
        references: How many references each sample of the training set has, by key.

    Raises:
        IndexFileError: An id that the data lacks, or an index past the sample's last reference.
    """
    for key, index in indexes.items():
        if key not in references:
            raise IndexFileError(
                f"{path}, id {key}: the training data has no such sample; is this its index file?"
            )
        if index >= references[key]:
            raise IndexFileError(
                f"{path}, id {key}: the index is {index}, but the sample has {references[key]} reference(s), "
                f"so the highest is {references[key] - 1}"
            )


def write_index(path: str | Path, indexes: Mapping[str, int]) -> None:
    """Writes an index file so that it is whole at every moment, also through a kill or a full disk.

    Args:
        path: The file; its folder is made where it is missing.
        indexes: Index by sample key; written in the order of the keys as numbers.

    Raises:
        IndexFileError: The folder cannot be written to or is full; the old file is as it was.
    """
    path = Path(path)
    lines = ",\n".join(f"{json.dumps(key)}: {int(indexes[key])}" for key in sorted(indexes, key=_as_number))
    try:
        write_whole(path, f"{{\n{lines}\n}}\n")
    except OSError as error:
        raise IndexFileError(f"{path} cannot be written: {error.strerror or error}") from error


def _as_number(key: str) -> tuple[int, int | str]:
    return (0, int(key)) if key.isascii() and key.isdigit() else (1, key)
