"""What a run's training set says of its samples, where it is still where the run read it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from writing_rl.dataset.ground_truth import references_of
from writing_rl.dataset.parquet_rows import ROWS_AT_ONCE
from writing_rl.errors import DataError


def read_references(path: Path) -> tuple[dict[str, int], bool]:
    """How many references each sample has.

    Args:
        path: The parquet file; it was checked when the run began.

    Returns:
        References by sample, and whether samples are named by `extra_info.index`, as
        `writing_rl.dataset.samples.sample_keys` has it.

    Raises:
        DataError: It cannot be read.
    """
    ids, indexes, references = [], [], []
    for truth, index in _rows(path, ["id", "target"]):
        ids.append(int(truth["id"]))
        indexes.append(index)
        references.append(len(references_of(truth)))
    by_index = len(set(ids)) < len(ids)
    keys = indexes if by_index else ids
    return dict(zip(map(str, keys), references, strict=True)), by_index


def read_prompts(path: Path, keys: Collection[str], by_index: bool) -> dict[str, str]:
    """The writing tasks of some samples.

    Args:
        path: The parquet file.
        keys: The samples.
        by_index: See `read_references`.

    Raises:
        DataError: It cannot be read.
    """
    found = {}
    for truth, index in _rows(path, ["id", "prompt"]):
        key = str(index if by_index else int(truth["id"]))
        if key in keys:
            found[key] = str(truth["prompt"])
    return found


def _rows(path: Path, fields: list[str]) -> Iterator[tuple[dict[str, Any], int]]:
    """Ground truth and `extra_info.index` of every row; some rows are in memory at a time."""
    import pyarrow
    import pyarrow.parquet

    columns = [*(f"reward_model.ground_truth.{name}" for name in fields), "extra_info.index"]
    try:
        with pyarrow.parquet.ParquetFile(path) as parquet:
            for batch in parquet.iter_batches(batch_size=ROWS_AT_ONCE, columns=columns):
                for row in batch.to_pylist():
                    yield (
                        row["reward_model"]["ground_truth"],
                        int((row.get("extra_info") or {}).get("index", -1)),
                    )
    except (pyarrow.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read: {str(error).splitlines()[0] if str(error) else error!r}"
        ) from None
