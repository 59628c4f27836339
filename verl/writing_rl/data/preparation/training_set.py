"""Storing prompts with their references as the data set that the trainer reads (README, "Data")."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from writing_rl.data.preparation.raw_prompts import RawPrompt
from writing_rl.data.preparation.scoring import Reference
from writing_rl.errors import SettingError

TRAIN, TEST, RECORD = "train.parquet", "test.parquet", "prepare.json"

#: Rows in memory at a time, and rows of a parquet row group.
BATCH = 2000


@dataclass(frozen=True, slots=True)
class Task:
    """A prompt with its references, the worst first."""

    raw: RawPrompt
    references: Sequence[Reference]


def to_row(task: Task, split: str, system: str) -> dict[str, Any]:
    """Turns a task into a row.

    Args:
        task: The task.
        split: `train` or `test`.
        system: The system message of prompts without one of their own; empty for none.
    """
    raw = task.raw
    message = system if raw.system is None else raw.system
    chat = [{"role": "system", "content": message}] if message.strip() else []
    return {
        "data_source": "writing",
        "prompt": [*chat, {"role": "user", "content": raw.prompt}],
        "ability": "write",
        "reward_model": {
            "style": "rule",
            "ground_truth": {
                "prompt": raw.prompt,
                "target": [reference.text for reference in task.references],
                "criteria": raw.criteria,
                "id": raw.id,
            },
        },
        "extra_info": {
            "index": raw.id,
            "split": split,
            "scores": [reference.score for reference in task.references],
            "models": [reference.model for reference in task.references],
            "source": raw.source,
        },
    }


def check_absent(folder: Path) -> None:
    """Makes sure that nothing would be overwritten.

    Raises:
        SettingError: There is a data set already.
    """
    for name in (TRAIN, TEST, RECORD):
        if (folder / name).exists():
            raise SettingError(
                f"{folder / name} exists already: name another --output, or overwrite it with --force"
            )


def write_training_set(
    folder: Path, train: Iterable[Task], test: Iterable[Task], system: str, record: Mapping[str, Any]
) -> None:
    """Writes both files and the record of how they were made; they get their names when all are whole.

    Args:
        folder: Where they go; made where it is missing.
        train: What to train on.
        test: What to validate on.
        system: The system message of prompts without one of their own.
        record: What `prepare.json` says.

    Raises:
        OSError: The folder cannot be written to or is full; what was there before is as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # The record is the last to get its name: where it is new, so are the others.
    with _unfinished(folder, (TRAIN, TEST, RECORD)) as paths:
        _write_rows((to_row(task, "train", system) for task in train), paths[TRAIN])
        _write_rows((to_row(task, "test", system) for task in test), paths[TEST])
        paths[RECORD].write_text(json.dumps(record, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _unfinished(folder: Path, names: Sequence[str]) -> Iterator[dict[str, Path]]:
    """Temporary names in a folder; after the context the files have their own, or are gone if it failed."""
    paths = {name: folder / f".{name}.{os.getpid()}.tmp" for name in names}
    try:
        yield paths
        for name, path in paths.items():
            path.replace(folder / name)
    finally:
        for path in paths.values():
            path.unlink(missing_ok=True)


def _write_rows(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    remaining = iter(rows)
    schema = _schema()
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while batch := list(islice(remaining, BATCH)):
            writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))


def _schema() -> Any:
    """The types of the columns, said and not guessed: a batch without any criteria has the same ones."""
    from pyarrow import field, float64, int64, list_, schema, string, struct

    message = struct([field("role", string()), field("content", string())])
    ground_truth = struct(
        [
            field("prompt", string()),
            field("target", list_(string())),
            field("criteria", string()),
            field("id", int64()),
        ]
    )
    extra_info = struct(
        [
            field("index", int64()),
            field("split", string()),
            field("scores", list_(float64())),
            field("models", list_(string())),
            field("source", string()),
        ]
    )
    return schema(
        [
            field("data_source", string()),
            field("prompt", list_(message)),
            field("ability", string()),
            field("reward_model", struct([field("style", string()), field("ground_truth", ground_truth)])),
            field("extra_info", extra_info),
        ]
    )
