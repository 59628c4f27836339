"""The rows of a data set as typed samples, checked row by row."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from writing_rl.errors import DataError

logger = logging.getLogger(__name__)

COLUMNS = ("data_source", "prompt", "reward_model", "extra_info")
#: Rows that are in memory twice, as Arrow and as Python objects.
ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class Sample:
    """One writing task with its references.

    Attributes:
        id: `ground_truth.id`.
        index: `extra_info.index`.
        split: `extra_info.split`, `train` or `test`.
        messages: The chat that the policy sees, as role and content.
        prompt: The writing task as the judge sees it.
        references: The reference texts, quality increasing; one for a fixed reference.
        criteria: What the judge judges by, or None for its default.
    """

    id: int
    index: int
    split: str
    messages: tuple[Mapping[str, str], ...]
    prompt: str
    references: tuple[str, ...]
    criteria: str | None


def references_of(ground_truth: Mapping[str, Any]) -> tuple[str, ...]:
    """The references of a ground truth; a `target` that is one string is one fixed reference.

    After parquet a list can arrive as a NumPy array.
    """
    target = ground_truth["target"]
    return (target,) if isinstance(target, str) else tuple(target)


def read_samples(path: str | Path) -> list[Sample]:
    """Reads and checks a data set.

    Args:
        path: A parquet file in the format of the README, "Data".

    Returns:
        Its samples, in the order of the file.

    Raises:
        DataError: The file is missing, is no parquet, lacks a column or has a row that cannot be used; the
            message names file and row (counted from 0).
    """
    import pyarrow
    import pyarrow.parquet

    if not Path(path).is_file():
        raise DataError(
            f"{path} does not exist: make it, or set DATA_DIR to the folder of train.parquet and test.parquet"
        )
    samples: list[Sample] = []
    try:
        parquet = pyarrow.parquet.ParquetFile(path)
        missing = [column for column in COLUMNS if column not in parquet.schema_arrow.names]
        if missing:
            raise DataError(f"{path} lacks the column {', '.join(missing)}: it needs {', '.join(COLUMNS)}")
        for batch in parquet.iter_batches(batch_size=ROWS_AT_ONCE, columns=list(COLUMNS)):
            for row in batch.to_pylist():
                samples.append(_sample(row, path, len(samples)))
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no readable parquet file: {str(error).splitlines()[0]}") from None
    if not samples:
        raise DataError(f"{path} has no rows")
    return samples


def _sample(row: Mapping[str, Any], path: str | Path, number: int) -> Sample:
    """Checks one row; see `read_samples`."""

    def fail(what: str) -> DataError:
        return DataError(f"{path}, row {number}: {what}")

    def whole_number(value: Any, name: str) -> int:
        # NaN, which pandas writes for a missing number, is a float and fails here like any other.
        if isinstance(value, bool) or not (
            isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        ):
            raise fail(f"{name} is {value!r}, it must be a whole number")
        return int(value)

    def text(value: Any, name: str) -> str:
        if not isinstance(value, str) or not value.strip():
            raise fail(f"{name} is {'empty' if isinstance(value, str) else repr(value)}, it must be a text")
        return value

    def mapping(name: str) -> Mapping[str, Any]:
        # A column of NaN or of texts is what a lost conversion leaves of a nested one.
        return row[name] if isinstance(row[name], Mapping) else {}

    text(row["data_source"], "data_source")
    ground_truth = mapping("reward_model").get("ground_truth")
    if not isinstance(ground_truth, Mapping):
        raise fail("reward_model.ground_truth is missing")
    absent = [key for key in ("prompt", "target", "id") if key not in ground_truth]
    if absent:
        raise fail(f"reward_model.ground_truth.{absent[0]} is missing")
    if not isinstance(ground_truth["target"], str | list):
        raise fail(
            f"reward_model.ground_truth.target is {ground_truth['target']!r}, it must be a list of texts"
        )
    references = references_of(ground_truth)
    if not references:
        raise fail("reward_model.ground_truth.target is empty: a sample needs at least one reference")
    for position, reference in enumerate(references):
        text(reference, f"reward_model.ground_truth.target[{position}]")
    criteria = ground_truth.get("criteria")
    if criteria is not None:
        text(criteria, "reward_model.ground_truth.criteria")

    messages = row["prompt"]
    if not isinstance(messages, list) or not messages:
        raise fail("prompt is no list of messages with role and content")
    for message in messages:
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise fail("prompt is no list of messages with role and content")
        text(message.get("content"), f"the {message['role']} message of prompt")

    extra = mapping("extra_info")
    split = extra.get("split")
    if split not in ("train", "test"):
        raise fail(f"extra_info.split is {split!r}, it must be 'train' or 'test'")
    return Sample(
        id=whole_number(ground_truth["id"], "reward_model.ground_truth.id"),
        index=whole_number(extra.get("index"), "extra_info.index"),
        split=split,
        messages=tuple(messages),
        prompt=text(ground_truth["prompt"], "reward_model.ground_truth.prompt"),
        references=references,
        criteria=criteria,
    )


@dataclass(frozen=True)
class SampleKeys:
    """Which number of a row names its sample in the index file.

    Attributes:
        by_index: False: `ground_truth.id` (the rule). True: `extra_info.index`, and `ground_truth.id` is the
            reference that the sample starts with (sets made after the original's README).
    """

    by_index: bool

    def key(self, id: Any, index: Any) -> str:
        """The sample's key; index files are JSON objects, so keys are strings."""
        return str(int(index if self.by_index else id))

    def start(self, sample: Sample) -> int:
        """The reference that a sample starts with."""
        return max(0, min(sample.id, len(sample.references) - 1)) if self.by_index else 0


def sample_keys(samples: Sequence[Sample], path: str | Path) -> SampleKeys:
    """Finds out which number names the samples of a training set.

    Raises:
        DataError: Neither `ground_truth.id` nor `extra_info.index` is unique; the message names two rows.
    """
    repeated_id = _first_repetition(sample.id for sample in samples)
    if repeated_id is None:
        return SampleKeys(by_index=False)
    repeated_index = _first_repetition(sample.index for sample in samples)
    if repeated_index is None:
        logger.warning(
            "%s: ground_truth.id repeats and extra_info.index is unique, so extra_info.index is the sample's "
            "key and ground_truth.id its starting reference",
            path,
        )
        return SampleKeys(by_index=True)
    raise DataError(
        f"{path}, rows {repeated_id[0]} and {repeated_id[1]} have the same reward_model.ground_truth.id, and "
        f"rows {repeated_index[0]} and {repeated_index[1]} the same extra_info.index: one of the two must be "
        "unique"
    )


def _first_repetition(values: Iterable[int]) -> tuple[int, int] | None:
    seen: dict[int, int] = {}
    for row, value in enumerate(values):
        if value in seen:
            return seen[value], row
        seen[value] = row
    return None
