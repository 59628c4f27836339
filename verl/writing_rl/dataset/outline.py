"""What the curriculum knows of a training set: names of samples and numbers of references, and no text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from writing_rl.dataset.parquet_rows import ROWS_AT_ONCE


@dataclass(frozen=True, slots=True)
class Outline:
    """A row of a training set.

    Attributes:
        id: `ground_truth.id`.
        index: `extra_info.index`.
        references: As many numbers as it has references.
    """

    id: int
    index: int
    references: range


def read_outline(path: str | Path) -> list[Outline]:
    """Reads a training set that `read_samples` has checked already: no row becomes Python objects again.

    Args:
        path: The parquet file.
    """
    import pyarrow
    import pyarrow.compute
    import pyarrow.parquet

    columns = ["reward_model.ground_truth.id", "reward_model.ground_truth.target", "extra_info.index"]
    rows: list[Outline] = []
    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=columns):
            ids = pyarrow.compute.struct_field(batch["reward_model"], ["ground_truth", "id"])
            targets = pyarrow.compute.struct_field(batch["reward_model"], ["ground_truth", "target"])
            indexes = pyarrow.compute.struct_field(batch["extra_info"], ["index"])
            # A target that is one text is one reference.
            is_list = hasattr(targets.type, "value_type") and not pyarrow.types.is_dictionary(targets.type)
            counts = pyarrow.compute.list_value_length(targets).to_pylist() if is_list else [1] * len(ids)
            rows += [
                Outline(int(id), int(index), range(count))
                for id, index, count in zip(ids.to_pylist(), indexes.to_pylist(), counts, strict=True)
            ]
    return rows
