"""What the selection of data reads, and the kept rows as a file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from writing_rl.dataset.samples import read_samples, sample_keys
from writing_rl.errors import DataError
from writing_rl.util.fields import shown
from writing_rl.util.jsonl import read_json_lines

REMEDY = "make the set with writing-rl data prepare, which stores a score of each reference there"

#: Rows that are handled at once, and that a row group of the output holds. Arrow cannot read nested columns
#: with more than 2 GiB of text in one piece.
ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class ScoredRows:
    """What a choice needs of a data set, one entry a row.

    Attributes:
        ids: The samples' keys, as in the index file.
        sources: Where they come from; empty where that is not said.
        scores: The scores of their references.
    """

    ids: Sequence[str]
    sources: Sequence[str]
    scores: Sequence[Sequence[float]]


def read_scored_rows(path: Path) -> ScoredRows:
    """Reads a data set whose references are scored.

    Raises:
        DataError: It is no data set to train with, or a reference has no score; the message names the row.
    """
    import pyarrow.parquet

    samples = read_samples(path)
    keys = sample_keys(samples, path)
    with pyarrow.parquet.ParquetFile(path) as parquet:
        if parquet.schema_arrow.field("extra_info").type.get_field_index("scores") < 0:
            raise DataError(f"{path} has no extra_info.scores: {REMEDY}")
        columns = ["extra_info.scores", "extra_info.source"]
        extras = parquet.read(columns=columns).column("extra_info").to_pylist()
    scores, sources = [], []
    for row, (sample, extra) in enumerate(zip(samples, extras, strict=True)):
        place = f"{path}, row {row}"
        scores.append(_scores(place, extra["scores"], len(sample.references)))
        source = extra.get("source")
        if not isinstance(source, str | None):
            raise DataError(f"{place}: extra_info.source is {shown(source)}, it must be a text")
        sources.append(source or "")
    return ScoredRows([keys.key(sample.id, sample.index) for sample in samples], sources, scores)


def read_policy_scores(path: Path) -> dict[str, list[float]]:
    """Reads what the policy's responses score: one `{"id": ..., "score": ...}` a line.

    Returns:
        The scores of each sample's responses, by its key.

    Raises:
        DataError: The file cannot be read or a line cannot be used; the message names it, counted from 1.
    """
    found: dict[str, list[float]] = {}
    for number, entry in read_json_lines(path):
        place = f"{path}, line {number}"
        for name in ("id", "score"):
            if name not in entry:
                raise DataError(f"{place} lacks {name!r}: add it")
        id = entry["id"]
        # Keys of an index file are texts, so ids from there may be too.
        if isinstance(id, str) and id.isascii() and id.isdigit():
            id = int(id)
        if isinstance(id, bool) or not isinstance(id, int):
            raise DataError(f"{place}: 'id' is {shown(id)}, it must be a whole number, as in the data set")
        found.setdefault(str(id), []).append(_number(f"{place}: 'score'", entry["score"]))
    if not found:
        raise DataError(f"{path} holds no scores: name a file with one JSON object a line")
    return found


def check_scored(ids: Sequence[str], policy: Mapping[str, Any], path: Path) -> None:
    """Makes sure that the policy has a score for every row.

    Raises:
        DataError: Rows have none; the message names the first.
    """
    lacking = [id for id in ids if id not in policy]
    if lacking:
        raise DataError(
            f"{path} has no score for sample {lacking[0]}, and for {len(lacking):,} of {len(ids):,} rows in "
            f"all: add them, or leave these rows out with --skip-unscored"
        )


def kept_rows(path: Path, kept: Sequence[bool]) -> bytes:
    """A parquet file with some of a file's rows, in their order and as they were.

    Args:
        path: The file.
        kept: Whether a row is kept, for each row.

    Raises:
        DataError: The file is not the one any more that `kept` was made for, or a column cannot be read.
    """
    import pyarrow
    import pyarrow.parquet

    batches = []
    start = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as parquet:
            if parquet.metadata.num_rows != len(kept):
                raise DataError(f"{path} was written to in the meantime: start again")
            for batch in parquet.iter_batches(ROWS_AT_ONCE):
                mask = pyarrow.array(kept[start : start + batch.num_rows], pyarrow.bool_())
                batches.append(batch.filter(mask))
                start += batch.num_rows
            table = pyarrow.Table.from_batches(batches, parquet.schema_arrow)
    except pyarrow.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} is damaged, or was written to in the meantime: {reason}") from None
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink, row_group_size=ROWS_AT_ONCE)
    return sink.getvalue().to_pybytes()


def _scores(place: str, values: Any, references: int) -> list[float]:
    name = "extra_info.scores"
    if values is None:
        raise DataError(f"{place}: {name} is missing: {REMEDY}")
    if not isinstance(values, list) or len(values) != references:
        what = f"{len(values)} scores" if isinstance(values, list) else shown(values)
        raise DataError(
            f"{place}: {name} is {what}, it must be a score of each of the {references} references"
        )
    return [_number(f"{place}: {name}[{position}]", value) for position, value in enumerate(values)]


def _number(name: str, value: Any) -> float:
    # JSON as Python reads it has NaN, and whole numbers that are too large for a float.
    if not isinstance(value, bool) and isinstance(value, int | float):
        try:
            if math.isfinite(number := float(value)):
                return number
        except OverflowError:
            pass
    raise DataError(f"{name} is {shown(value)}, it must be a finite number")
