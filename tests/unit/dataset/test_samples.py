from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest

from writing_rl.dataset.ground_truth import references_of
from writing_rl.dataset.samples import Sample, SampleKeys, read_samples, sample_keys
from writing_rl.errors import DataError

MakeRow = Callable[..., dict[str, Any]]
WriteParquet = Callable[[Path, list[dict[str, Any]]], Path]
NAN = math.nan
GROUND_TRUTH = "reward_model.ground_truth"
TARGET = f"{GROUND_TRUTH}.target"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "train.parquet"


def replace(row: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    """A row with one field, named by its dotted path, set to another value."""
    *outer, last = field.split(".")
    place: Any = row
    for name in outer:
        place = place[int(name)] if name.isdigit() else place[name]
    place[last] = value
    return row


def one_message(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose prompt is the user's message alone, so that a column can hold a value of another type."""
    return {**row, "prompt": row["prompt"][1:]}


def message_of(path: Path) -> str:
    with pytest.raises(DataError) as error:
        read_samples(path)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


def test_a_good_row_becomes_a_sample(path: Path, make_row: MakeRow, write_parquet: WriteParquet) -> None:
    write_parquet(path, [make_row(7, index=3, criteria="Be brief.", target=("low", "high"), prompt="Write.")])
    assert read_samples(path) == [
        Sample(
            id=7,
            index=3,
            split="train",
            messages=({"role": "system", "content": "You write."}, {"role": "user", "content": "Write."}),
            prompt="Write.",
            references=("low", "high"),
            criteria="Be brief.",
        )
    ]


def test_rows_written_by_pandas_are_read(path: Path, make_row: MakeRow) -> None:
    rows = [replace(make_row(n), f"{GROUND_TRUTH}.target", np.array(["low", "high"])) for n in range(3)]
    pd.DataFrame(rows).to_parquet(path)
    samples = read_samples(path)
    assert [sample.id for sample in samples] == [0, 1, 2]
    assert {sample.references for sample in samples} == {("low", "high")}
    assert {sample.criteria for sample in samples} == {None}


def test_rows_without_criteria_are_read(path: Path, make_row: MakeRow, write_parquet: WriteParquet) -> None:
    row = make_row()
    del row["reward_model"]["ground_truth"]["criteria"]
    write_parquet(path, [row])
    assert read_samples(path)[0].criteria is None


def test_ids_that_pandas_made_floats_are_read(
    path: Path, make_row: MakeRow, write_parquet: WriteParquet
) -> None:
    write_parquet(path, [make_row(5.0, index=np.int32(4))])
    (sample,) = read_samples(path)
    assert (sample.id, sample.index) == (5, 4)
    assert isinstance(sample.id, int)


def test_a_target_that_is_one_text_is_a_fixed_reference(
    path: Path, make_row: MakeRow, write_parquet: WriteParquet
) -> None:
    write_parquet(path, [make_row(target="The only one.")])
    assert read_samples(path)[0].references == ("The only one.",)


@pytest.mark.parametrize(
    "target", [["a", "b"], ("a", "b"), np.array(["a", "b"]), np.array(["a", "b"], dtype=object)]
)
def test_references_in_every_form_that_parquet_gives_them(target: Any) -> None:
    assert references_of({"target": target}) == ("a", "b")


def test_one_text_is_not_taken_for_a_list_of_letters() -> None:
    assert references_of({"target": "ab"}) == ("ab",)


def test_a_missing_file_is_named(path: Path) -> None:
    assert message_of(path) == (
        " does not exist: make it, or set DATA_DIR to the folder of train.parquet and test.parquet"
    )


@pytest.mark.parametrize(
    "content",
    [b"", b"PAR1", b"id,prompt\n0,Write.\n", b"PAR1" + b"\0" * 64 + b"PAR1"],
    ids=["empty", "short", "csv", "zeros"],
)
def test_a_file_that_is_no_parquet_is_named(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert message_of(path).startswith(" is no readable parquet file: ")


@pytest.mark.parametrize("damage", ["cut off", "overwritten"])
def test_a_damaged_parquet_file_is_named(
    path: Path, make_row: MakeRow, write_parquet: WriteParquet, damage: str
) -> None:
    content = write_parquet(path, [make_row(number) for number in range(50)]).read_bytes()
    path.write_bytes(content[:-100] if damage == "cut off" else content[:4] + b"\xff" * 900 + content[904:])
    assert message_of(path).startswith(" is no readable parquet file: ")


@pytest.mark.parametrize("column", ["data_source", "prompt", "reward_model", "extra_info"])
def test_a_missing_column_is_named(
    path: Path, make_row: MakeRow, write_parquet: WriteParquet, column: str
) -> None:
    row = make_row()
    del row[column]
    write_parquet(path, [row])
    assert message_of(path) == (
        f" lacks the column {column}: it needs data_source, prompt, reward_model, extra_info"
    )


def test_a_file_without_rows_is_named(path: Path, make_row: MakeRow) -> None:
    pd.DataFrame([make_row()]).head(0).to_parquet(path)
    assert message_of(path) == " has no rows"


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        (TARGET, [], f"{TARGET} is empty: a sample needs at least one reference"),
        (f"{GROUND_TRUTH}.target", ["good", " "], f"{GROUND_TRUTH}.target[1] is empty, it must be a text"),
        (f"{GROUND_TRUTH}.target", ["good", None], f"{GROUND_TRUTH}.target[1] is None, it must be a text"),
        (f"{GROUND_TRUTH}.target", "", f"{GROUND_TRUTH}.target[0] is empty, it must be a text"),
        (f"{GROUND_TRUTH}.target", None, f"{GROUND_TRUTH}.target is None, it must be a list of texts"),
        (f"{GROUND_TRUTH}.target", NAN, f"{GROUND_TRUTH}.target is nan, it must be a list of texts"),
        (f"{GROUND_TRUTH}.prompt", NAN, f"{GROUND_TRUTH}.prompt is nan, it must be a text"),
        (f"{GROUND_TRUTH}.prompt", None, f"{GROUND_TRUTH}.prompt is None, it must be a text"),
        (f"{GROUND_TRUTH}.prompt", "\n", f"{GROUND_TRUTH}.prompt is empty, it must be a text"),
        (f"{GROUND_TRUTH}.criteria", NAN, f"{GROUND_TRUTH}.criteria is nan, it must be a text"),
        (f"{GROUND_TRUTH}.criteria", "", f"{GROUND_TRUTH}.criteria is empty, it must be a text"),
        (f"{GROUND_TRUTH}.id", NAN, f"{GROUND_TRUTH}.id is nan, it must be a whole number"),
        (f"{GROUND_TRUTH}.id", None, f"{GROUND_TRUTH}.id is None, it must be a whole number"),
        (f"{GROUND_TRUTH}.id", 1.5, f"{GROUND_TRUTH}.id is 1.5, it must be a whole number"),
        (f"{GROUND_TRUTH}.id", "1", f"{GROUND_TRUTH}.id is '1', it must be a whole number"),
        (f"{GROUND_TRUTH}.id", True, f"{GROUND_TRUTH}.id is True, it must be a whole number"),
        (f"{GROUND_TRUTH}", None, f"{GROUND_TRUTH} is missing"),
        (f"{GROUND_TRUTH}", NAN, f"{GROUND_TRUTH} is missing"),
        ("reward_model", None, f"{GROUND_TRUTH} is missing"),
        ("reward_model", NAN, f"{GROUND_TRUTH} is missing"),
        ("reward_model", "rule", f"{GROUND_TRUTH} is missing"),
        ("extra_info", None, "extra_info.split is None, it must be 'train' or 'test'"),
        ("extra_info", NAN, "extra_info.split is None, it must be 'train' or 'test'"),
        ("extra_info", "train", "extra_info.split is None, it must be 'train' or 'test'"),
        ("extra_info.index", NAN, "extra_info.index is nan, it must be a whole number"),
        ("extra_info.index", None, "extra_info.index is None, it must be a whole number"),
        ("extra_info.split", NAN, "extra_info.split is nan, it must be 'train' or 'test'"),
        ("extra_info.split", "validation", "extra_info.split is 'validation', it must be 'train' or 'test'"),
        ("prompt", None, "prompt is no list of messages with role and content"),
        ("prompt", NAN, "prompt is no list of messages with role and content"),
        ("prompt", [], "prompt is no list of messages with role and content"),
        ("prompt", "Write.", "prompt is no list of messages with role and content"),
        ("prompt", ["Write."], "prompt is no list of messages with role and content"),
        ("prompt", [{"content": "Write."}], "prompt is no list of messages with role and content"),
        ("prompt.0.content", NAN, "the user message of prompt is nan, it must be a text"),
        ("prompt.0.content", "", "the user message of prompt is empty, it must be a text"),
    ],
)  # fmt: skip
def test_a_bad_value_is_named_with_file_and_row(
    path: Path, make_row: MakeRow, write_parquet: WriteParquet, field: str, value: Any, complaint: str
) -> None:
    good = [one_message(make_row(number)) for number in range(2)]
    bad = [replace(one_message(make_row(number)), field, value) for number in range(3)]
    try:
        write_parquet(path, [*good, bad[2]])
        row = 2
    except (
        pyarrow.ArrowException
    ):  # a column that cannot hold both: then the first row is the one to be named
        write_parquet(path, bad)
        row = 0
    assert message_of(path) == f", row {row}: {complaint}"


@pytest.mark.parametrize(("field", "name"), [("data_source", "data_source"), ("prompt.0.role", "role")])
@pytest.mark.parametrize("value", [None, NAN])
def test_a_field_that_only_verl_uses_is_checked_too(
    path: Path, make_row: MakeRow, write_parquet: WriteParquet, field: str, name: str, value: Any
) -> None:
    write_parquet(path, [replace(one_message(make_row(number)), field, value) for number in range(2)])
    message = message_of(path)
    assert message.startswith(", row 0: ")
    assert name in message


def samples_of(
    path: Path, numbers: list[tuple[int, int]], make_row: MakeRow, write: WriteParquet
) -> list[Sample]:
    write(path, [make_row(id, index=index) for id, index in numbers])
    return read_samples(path)


def test_the_id_is_the_key(path: Path, make_row: MakeRow, write_parquet: WriteParquet) -> None:
    samples = samples_of(path, [(4, 0), (2, 0), (9, 0)], make_row, write_parquet)
    keys = sample_keys(samples, path)
    assert keys == SampleKeys(by_index=False)
    assert [keys.key(sample.id, sample.index) for sample in samples] == ["4", "2", "9"]
    assert [keys.start(sample) for sample in samples] == [0, 0, 0]


def test_repeated_ids_are_starting_references(
    path: Path, make_row: MakeRow, write_parquet: WriteParquet, caplog: pytest.LogCaptureFixture
) -> None:
    samples = samples_of(path, [(0, 10), (1, 11), (1, 12), (5, 13)], make_row, write_parquet)
    with caplog.at_level(logging.WARNING):
        keys = sample_keys(samples, path)
    assert keys == SampleKeys(by_index=True)
    assert [keys.key(sample.id, sample.index) for sample in samples] == ["10", "11", "12", "13"]
    assert [keys.start(sample) for sample in samples] == [0, 1, 1, 2]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        f"{path}: ground_truth.id repeats and extra_info.index is unique, so extra_info.index is the "
        "sample's key and ground_truth.id its starting reference"
    )


def test_numbers_that_name_nothing_are_an_error(
    path: Path, make_row: MakeRow, write_parquet: WriteParquet
) -> None:
    samples = samples_of(path, [(0, 0), (1, 1), (2, 1), (0, 2)], make_row, write_parquet)
    with pytest.raises(DataError) as error:
        sample_keys(samples, path)
    assert str(error.value) == (
        f"{path}, rows 0 and 3 have the same reward_model.ground_truth.id, and rows 1 and 2 the same "
        "extra_info.index: one of the two must be unique"
    )


@pytest.mark.parametrize("number", [3, np.int64(3), np.int32(3), "3", 3.0])
def test_a_key_is_the_number_as_text(number: Any) -> None:
    assert SampleKeys(by_index=False).key(number, -1) == "3"
    assert SampleKeys(by_index=True).key(-1, number) == "3"


def test_a_start_is_a_reference_that_exists(
    path: Path, make_row: MakeRow, write_parquet: WriteParquet
) -> None:
    samples = samples_of(path, [(-1, 0), (-1, 1), (99, 2)], make_row, write_parquet)
    keys = SampleKeys(by_index=True)
    assert all(0 <= keys.start(sample) < len(sample.references) for sample in samples)
