"""The rows of a data set as typed samples, checked row by row."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from writing_rl.dataset.ground_truth import references_of
from writing_rl.dataset.parquet_rows import read_rows, read_schema
from writing_rl.errors import DataError
from writing_rl.util.fields import shown
from writing_rl.util.redact import printable

logger = logging.getLogger(__name__)

#: What a run reads of a data set.
COLUMNS = ("data_source", "prompt", "reward_model", "extra_info")
#: Columns that belong to the format and that nothing reads.
UNREAD_COLUMNS = ("ability",)
#: What a run reads of a message.
MESSAGE_FIELDS = ("role", "content")


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


def looks_like_list(text: str) -> bool:
    """Whether a text is a list of texts as JSON, Python or NumPy write it, as a CSV leaves of lists."""
    text = text.strip()
    inner = text[1:-1].strip()
    return text[:1] == "[" and text[-1:] == "]" and set(inner[:1] + inner[-1:]) <= set("'\"")


def plain_messages(messages: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Messages as a chat template gets them.

    In parquet every message has all fields that any of them has, and templates take a field that is null for
    one that is there.
    """
    return [{name: message[name] for name in MESSAGE_FIELDS} for message in messages]


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
    if not Path(path).is_file():
        raise DataError(
            f"{path} does not exist: make it, or set DATA_DIR to the folder of train.parquet and test.parquet"
        )
    schema = read_schema(path)
    missing = [column for column in COLUMNS if column not in schema.names]
    if missing:
        raise DataError(f"{path} lacks the column {', '.join(missing)}: it needs {', '.join(COLUMNS)}")
    for column in COLUMNS:
        if found := _strange_type(schema.field(column)):
            raise DataError(
                f"{path}: {printable(found, 200)}, which verl cannot load: store it as text, number or list, "
                "or leave it out"
            )
    samples = [_sample(row, path, number) for number, row in read_rows(path, COLUMNS)]
    if not samples:
        raise DataError(f"{path} has no rows")
    return samples


def left_out_columns(path: str | Path) -> list[str]:
    """The columns of a data set, and the fields of its messages, that no run reads.

    Raises:
        DataError: The file cannot be read.
    """
    import pyarrow

    schema = read_schema(path)
    known = {*COLUMNS, *UNREAD_COLUMNS}
    names = [name for name in schema.names if name not in known]
    messages = schema.field("prompt").type if "prompt" in schema.names else None
    # Lists of all kinds have a type of their values, and only these.
    message = getattr(messages, "value_type", None)
    if message is not None and pyarrow.types.is_struct(message):
        names += [f"prompt[].{part.name}" for part in message if part.name not in MESSAGE_FIELDS]
    return names


def _strange_type(field: Any) -> str | None:
    """Where a column or a part of it has a type that the package `datasets` does not know; None: nowhere."""
    import pyarrow

    parts = [(field.name, field.type)]
    while parts:
        name, kind = parts.pop()
        if isinstance(kind, pyarrow.BaseExtensionType) or pyarrow.types.is_map(kind):
            return f"{name} has the type {kind}"
        if pyarrow.types.is_struct(kind):
            parts += [(f"{name}.{part.name}", part.type) for part in kind]
        elif (value_type := getattr(kind, "value_type", None)) is not None:
            parts.append((f"{name}[]", value_type))
    return None


def _sample(row: Mapping[str, Any], path: str | Path, number: int) -> Sample:
    """Checks one row; see `read_samples`."""

    def fail(what: str) -> DataError:
        return DataError(f"{path}, row {number}: {what}")

    def whole_number(value: Any, name: str) -> int:
        # NaN, which pandas writes for a missing number, is a float and fails here like any other.
        if isinstance(value, bool) or not (
            isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        ):
            raise fail(f"{name} is {shown(value)}, it must be a whole number")
        return int(value)

    def text(value: Any, name: str) -> str:
        if not isinstance(value, str) or not value.strip():
            raise fail(f"{name} is {'empty' if isinstance(value, str) else shown(value)}, it must be a text")
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
            f"reward_model.ground_truth.target is {shown(ground_truth['target'])}, it must be a list of texts"
        )
    target = ground_truth["target"]
    if isinstance(target, str) and looks_like_list(target):
        raise fail(
            f"reward_model.ground_truth.target is a list written as one text ({shown(target)}): store the "
            "list itself; a single reference that looks like this goes into a list of one"
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
        raise fail(f"extra_info.split is {shown(split)}, it must be 'train' or 'test'")
    return Sample(
        id=whole_number(ground_truth["id"], "reward_model.ground_truth.id"),
        index=whole_number(extra.get("index"), "extra_info.index"),
        split=split,
        messages=tuple(plain_messages(messages)),
        prompt=text(ground_truth["prompt"], "reward_model.ground_truth.prompt"),
        references=references,
        criteria=criteria,
    )


class Named(Protocol):
    """What names a sample, and how many references it has: a `Sample` or an `Outline`."""

    @property
    def id(self) -> int: ...
    @property
    def index(self) -> int: ...
    @property
    def references(self) -> Sized: ...


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

    def start(self, sample: Named) -> int:
        """The reference that a sample starts with."""
        return max(0, min(sample.id, len(sample.references) - 1)) if self.by_index else 0


def sample_keys(samples: Sequence[Named], path: str | Path) -> SampleKeys:
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
