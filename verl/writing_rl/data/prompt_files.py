"""Reading prompts for which responses are to be written: JSON lines, CSV, or parquet."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from writing_rl.data.preparation.raw_prompts import REMARKS
from writing_rl.dataset.parquet_rows import read_rows, read_schema
from writing_rl.dataset.samples import COLUMNS, Sample, read_samples
from writing_rl.errors import DataError
from writing_rl.text.similarity import same_text
from writing_rl.util.fields import optional_text, shown
from writing_rl.util.jsonl import read_json_lines
from writing_rl.util.redact import printable


@dataclass(frozen=True)
class Prompt:
    """A writing task.

    Attributes:
        prompt: The task.
        messages: The chat that the writer sees, where the file says it; None: the task and a system message.
        remarks: What else the file says about it: criteria, source, system.
    """

    prompt: str
    messages: tuple[Mapping[str, str], ...] | None
    remarks: Mapping[str, str]


def read_prompts(path: Path, column: str = "prompt") -> list[Prompt]:
    """Reads and checks a file of prompts.

    Args:
        path: By its name's ending JSON lines (`.jsonl`), CSV (`.csv`) or parquet (`.parquet`), which may also
            be a training set.
        column: The name of the field or column with the prompt; criteria, source and system may stand beside
            it under these names.

    Returns:
        The prompts, all different: of those that differ only in white space and case, the first.

    Raises:
        DataError: The file or one of its lines or rows cannot be used; the message names it.
    """
    prompts: dict[str, Prompt] = {}
    for prompt in _prompts(path, column):
        prompts.setdefault(same_text(prompt.prompt), prompt)
    if not prompts:
        raise DataError(f"{path} holds no prompts")
    return list(prompts.values())


def _prompts(path: Path, column: str) -> Iterator[Prompt]:
    readers = {".jsonl": _json_lines, ".csv": _csv, ".parquet": _parquet}
    if (reader := readers.get(path.suffix)) is None:
        raise DataError(f"{path}: give it a name that ends in {', '.join(readers)}, by what is in it")
    if reader is _parquet and _is_training_set(path):
        yield from (_of_sample(sample) for sample in read_samples(path))
        return
    for place, entry in reader(path, column):
        if column not in entry:
            raise _lacking(place, column, entry)
        prompt = optional_text(entry, column, place) or ""
        if not prompt.strip():
            raise DataError(f"{place}: {column!r} is empty")
        # The system message may be empty, which is none; other remarks that are empty say nothing.
        remarks = {name: optional_text(entry, name, place) for name in REMARKS}
        said = {name: text for name, text in remarks.items() if text or (text == "" and name == "system")}
        yield Prompt(prompt, None, said)


def _lacking(place: str, column: str, names: Iterable[str]) -> DataError:
    known = printable(", ".join(names), 200)
    return DataError(f"{place} lacks {column!r}: name the prompt's column with --prompt-column ({known})")


def _of_sample(sample: Sample) -> Prompt:
    first = sample.messages[0]
    remarks = {"system": first["content"] if first["role"] == "system" else ""}
    if sample.criteria:
        remarks["criteria"] = sample.criteria
    return Prompt(sample.prompt, sample.messages, remarks)


def _json_lines(path: Path, _: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, entry in read_json_lines(path):
        yield f"{path}, line {number}", entry


def _csv(path: Path, _: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import pandas

    try:
        _check_csv(path)
        # Everything is a text: a story may well be called `NA` or `007`.
        table = pandas.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, pandas.errors.ParserError) as error:
        raise DataError(f"{path} is no CSV in UTF-8: {str(error).strip()}") from None
    if not isinstance(table.index, pandas.RangeIndex):  # pandas takes what comes first for names of rows
        raise DataError(f"{path} has rows with more fields than names: put texts with commas in quotes")
    for number, entry in enumerate(table.to_dict("records")):
        # CSV has no null: a field that is left empty is missing.
        yield f"{path}, row {number}", {name: value or None for name, value in entry.items()}


def _check_csv(path: Path) -> None:
    """What pandas does not say: the line that is not UTF-8, and a name that is there twice.

    Raises:
        ValueError: In words that go on after "is no CSV in UTF-8: ".
        DataError: Two columns have one name.
    """
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(f"line {number}: {error}") from None
    csv.field_size_limit(sys.maxsize)
    with open(path, encoding="utf-8-sig", newline="") as file:
        try:
            names = next(csv.reader(file), [])
        except csv.Error as error:
            raise ValueError(str(error)) from None
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise DataError(f"{path} has two columns {shown(twice[0])}: remove or rename one")


def _parquet(path: Path, column: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    names = read_schema(path).names
    if column not in names:
        raise _lacking(f"{path}, row 0", column, names)
    for number, entry in read_rows(
        path, [name for name in dict.fromkeys((column, *REMARKS)) if name in names]
    ):
        yield f"{path}, row {number}", entry


def _is_training_set(path: Path) -> bool:
    return set(COLUMNS) <= set(read_schema(path).names)
