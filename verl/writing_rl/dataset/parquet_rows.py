"""Reading the rows of a parquet file one after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from writing_rl.errors import DataError
from writing_rl.util.fields import shown

if TYPE_CHECKING:
    import pyarrow

#: Rows that are in memory twice, as Arrow and as Python objects.
ROWS_AT_ONCE = 1000


def read_schema(path: str | Path) -> pyarrow.Schema:
    """The columns of a parquet file, with their types.

    Raises:
        DataError: It cannot be read, or has two columns of one name.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        schema = pyarrow.parquet.read_schema(path)
        names = schema.names
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no readable parquet file: {_first_line(error)}") from None
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"{path} has two columns {shown(twice[0])}: remove one")
    return schema


def read_rows(path: str | Path, columns: Sequence[str] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a parquet file, each with its number, from 0.

    Args:
        path: The file.
        columns: What is read of it; None for everything.

    Raises:
        DataError: It cannot be read; the message names the file and, where it is one row's fault, the row.
    """
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=None if columns is None else [*columns]):
                for row in _objects(batch, path, number):
                    yield number, row
                    number += 1
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} is no readable parquet file: {_first_line(error)}") from None


def _objects(batch: pyarrow.RecordBatch, path: str | Path, first: int) -> list[dict[str, Any]]:
    """The rows of a batch; parquet does not make sure that texts are UTF-8, nor times possible."""
    try:
        return list(batch.to_pylist())
    except (ValueError, OverflowError):
        for place in range(len(batch)):
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                try:
                    column[place].as_py()
                except (ValueError, OverflowError) as error:
                    where = f"{path}, row {first + place}: {name!r:.80}"
                    raise DataError(f"{where} cannot be read: {_first_line(error)}") from None
        raise


def _first_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).split("\n", 1)[0]
