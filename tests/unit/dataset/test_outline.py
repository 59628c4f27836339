from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from writing_rl.dataset.outline import read_outline
from writing_rl.dataset.samples import read_samples, sample_keys


@pytest.mark.parametrize(
    "rows",
    [
        [{"id": 7, "target": ("a", "b")}, {"id": 3, "index": 9, "target": ("a",)}],
        [{"id": 1, "target": "one"}, {"id": 2, "target": "two"}],
        [{"id": 1, "index": 0}, {"id": 1, "index": 1, "target": ("a",)}],
        [{"id": 2.0, "index": 0}, {"id": 1.0, "index": 1}],
    ],
)
@pytest.mark.parametrize("kind", ["as pandas writes it", "large lists", "dictionaries"])
def test_it_says_what_whole_samples_say(
    rows: list[dict[str, Any]], kind: str, tmp_path: Path, make_row: Callable[..., dict[str, Any]]
) -> None:
    table = pyarrow.Table.from_pylist([make_row(**row) for row in rows])
    if kind != "as pandas writes it":
        table = table.cast(pyarrow.schema([_retyped(field, kind) for field in table.schema]))
    pyarrow.parquet.write_table(table, path := tmp_path / "train.parquet")
    samples, outlines = read_samples(path), read_outline(path)
    assert [(o.id, o.index, len(o.references)) for o in outlines] == [
        (s.id, s.index, len(s.references)) for s in samples
    ]
    keys = sample_keys(samples, path)
    assert sample_keys(outlines, path) == keys
    assert list(map(keys.start, outlines)) == list(map(keys.start, samples))


def _retyped(field: pyarrow.Field, kind: str) -> pyarrow.Field:
    """A field with another type for the targets."""
    if field.name == "target" and kind == "large lists" and pyarrow.types.is_list(field.type):
        return field.with_type(pyarrow.large_list(field.type.value_type))
    if field.name == "target" and kind == "dictionaries" and pyarrow.types.is_string(field.type):
        return field.with_type(pyarrow.dictionary(pyarrow.int32(), pyarrow.string()))
    if pyarrow.types.is_struct(field.type):
        return field.with_type(pyarrow.struct([_retyped(part, kind) for part in field.type]))
    return field
