from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.data.prompt_files import Prompt, read_prompts
from writing_rl.dataset import parquet_rows
from writing_rl.errors import DataError

HOSTILE = [
    "{prompt}",
    'a "quoted", text',
    "two\nlines",
    "a\u2028b\u0085c",
    "😀é海",
    "NA",
    "null",
    "007",
    " x ",
]
NAMES = ("prompt", "criteria", "source", "system")


def json_lines(path: Path, *entries: Any) -> Path:
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries), encoding="utf-8")
    return path


def csv_file(path: Path, *rows: list[str]) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def texts(prompts: list[Prompt]) -> list[str]:
    return [prompt.prompt for prompt in prompts]


def refused(path: Path, column: str = "prompt") -> str:
    with pytest.raises(DataError) as error:
        read_prompts(path, column)
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(path), path.name)


# What is read


@pytest.fixture(params=["jsonl", "csv", "parquet"])
def write(
    request: pytest.FixtureRequest, tmp_path: Path, write_parquet: Callable[..., Path]
) -> Callable[..., Path]:
    """Writes entries in each of the forms."""

    def written(*entries: dict[str, str]) -> Path:
        path = tmp_path / f"prompts.{request.param}"
        if request.param == "jsonl":
            return json_lines(path, *entries)
        if request.param == "csv":
            names = list(entries[0])
            return csv_file(path, names, *([entry[name] for name in names] for entry in entries))
        return write_parquet(path, entries)

    return written


def test_every_text_comes_through_unchanged(write: Callable[..., Path]) -> None:
    entries = [dict.fromkeys(NAMES, text) for text in HOSTILE]
    prompts = read_prompts(write(*entries))
    assert texts(prompts) == HOSTILE
    for prompt, text in zip(prompts, HOSTILE, strict=True):
        assert prompt.messages is None
        assert prompt.remarks == dict.fromkeys(NAMES[1:], text)


def test_the_prompt_may_have_another_name(write: Callable[..., Path]) -> None:
    path = write({"task": "Write.", "prompt": "not this", "more": "left out"})
    assert read_prompts(path, "task") == [Prompt("Write.", None, {})]


def test_an_empty_remark_is_none(write: Callable[..., Path]) -> None:
    (prompt,) = read_prompts(write({"prompt": "Write.", "criteria": "", "source": ""}))
    assert prompt.remarks == {}


def test_of_duplicates_the_first_counts(write: Callable[..., Path]) -> None:
    entries = [("A  story", "one"), ("Another", "two"), ("a\nSTORY ", "three"), ("Another", "four")]
    prompts = read_prompts(write(*({"prompt": prompt, "source": source} for prompt, source in entries)))
    assert [(prompt.prompt, prompt.remarks["source"]) for prompt in prompts] == entries[:2]


def test_a_wrong_column_lists_those_there_are(write: Callable[..., Path]) -> None:
    message = refused(write({"title": "x", "text": "y"}), "task")
    assert "lacks 'task': name the prompt's column with --prompt-column (title, text)" in message


@pytest.mark.parametrize("empty", ["", " \t"])
def test_an_empty_prompt_names_its_row(write: Callable[..., Path], empty: str) -> None:
    path = write({"prompt": "Write.", "source": "x"}, {"prompt": empty, "source": "y"})
    place = "line 2" if path.suffix == ".jsonl" else "row 1"
    assert refused(path) == f"{path.name}, {place}: 'prompt' is empty"


def test_an_empty_system_message_is_said_where_there_is_null(
    tmp_path: Path, write_parquet: Callable[..., Path]
) -> None:
    entries = [{"prompt": "a", "system": ""}, {"prompt": "b", "system": None}, {"prompt": "c", "system": "x"}]
    expected = [{"system": ""}, {}, {"system": "x"}]
    for path in (
        json_lines(tmp_path / "in.jsonl", *entries),
        write_parquet(tmp_path / "in.parquet", entries),
    ):
        assert [prompt.remarks for prompt in read_prompts(path)] == expected
    path = csv_file(tmp_path / "in.csv", ["prompt", "system"], ["a", ""], ["c", "x"])
    assert [prompt.remarks for prompt in read_prompts(path)] == [{}, {"system": "x"}]


@pytest.mark.parametrize("suffix", [".txt", "", ".json", ".jsonl.gz", ".xlsx"])
def test_an_unknown_kind_of_file_is_refused(tmp_path: Path, suffix: str) -> None:
    (path := tmp_path / f"prompts{suffix}").write_text('{"prompt": "x"}')
    assert refused(path).endswith("give it a name that ends in .jsonl, .csv, .parquet, by what is in it")


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_what_cannot_be_read_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"prompts.{suffix}"
    assert "prompts" in refused(path)
    assert "No such file" in refused(path)
    path.write_bytes(bytes(range(255, 0, -1)) * 20)
    assert refused(path).startswith(path.name)
    path.write_bytes(b"")
    assert refused(path).startswith(path.name)
    path.unlink()
    path.mkdir()
    assert "directory" in refused(path)


# JSON lines


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", "line 2 is no JSON object: write one JSON object a line"),
        ("{", "line 2 is no JSON: "),
        ('{"prompt": null}', "line 2: 'prompt' is empty"),
        ('{"prompt": 3}', "line 2: 'prompt' is 3, it must be a text"),
        (r'{"prompt": "\ud83d"}', "line 2: 'prompt' holds half of a character"),
        (r'{"prompt": "x", "system": "\ud83d"}', "line 2: 'system' holds half of a character"),
        ('{"prompt": "x", "criteria": ["a"]}', "line 2: 'criteria' is ['a'], it must be a text"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, line: str, message: str) -> None:
    (path := tmp_path / "in.jsonl").write_text(f'{{"prompt": "Write."}}\n{line}\n')
    assert refused(path).startswith(f"in.jsonl, {message}")


def test_editors_may_leave_their_marks_in_json_lines(tmp_path: Path) -> None:
    (path := tmp_path / "in.jsonl").write_bytes(b'\xef\xbb\xbf{"prompt": "a"}\r\n\r\n{"prompt": "b"}')
    assert texts(read_prompts(path)) == ["a", "b"]


# CSV


def test_spreadsheets_may_leave_their_marks_in_csv(tmp_path: Path) -> None:
    (path := tmp_path / "in.csv").write_bytes(
        '\ufeffprompt,criteria\r\n"Write, then\nrest",NA\r\n\r\nübung,\r\nthird\r\n'.encode()
    )
    assert read_prompts(path) == [
        Prompt("Write, then\nrest", None, {"criteria": "NA"}),
        Prompt("übung", None, {}),
        Prompt("third", None, {}),
    ]


@pytest.mark.parametrize(
    "rows",
    ["Write, slowly,kind\n", "Write,kind,\n", "a,b\nWrite, slowly,kind\n", "Write, slowly,kind\na,b\n"],
)
def test_a_comma_too_many_is_not_taken_for_another_column(tmp_path: Path, rows: str) -> None:
    (path := tmp_path / "in.csv").write_text(f"prompt,criteria\n{rows}")
    message = refused(path)
    assert (
        "has rows with more fields than names" in message or "Expected 2 fields in line 3, saw 3" in message
    )


@pytest.mark.parametrize("content", ["prompt\nübung\n".encode("latin-1"), b'prompt\n"never closed\n'])
def test_what_is_no_csv_says_so(tmp_path: Path, content: bytes) -> None:
    (path := tmp_path / "in.csv").write_bytes(content)
    assert refused(path).startswith("in.csv is no CSV in UTF-8: ")


def test_a_csv_of_names_alone_holds_no_prompts(tmp_path: Path) -> None:
    (path := tmp_path / "in.csv").write_text("prompt,criteria\n")
    assert refused(path) == "in.csv holds no prompts"


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20), min_size=1, max_size=5))
def test_any_text_comes_through_csv(tmp_path_factory: pytest.TempPathFactory, given_texts: list[str]) -> None:
    wanted = [f"{number}:{text}" for number, text in enumerate(given_texts)]
    table = io.StringIO(newline="")
    csv.writer(table, quoting=csv.QUOTE_ALL).writerows([["prompt", "source"], *([x, x] for x in wanted)])
    path = tmp_path_factory.mktemp("csv") / "in.csv"
    path.write_bytes(table.getvalue().encode())
    prompts = read_prompts(path)
    assert texts(prompts) == wanted
    assert [prompt.remarks["source"] for prompt in prompts] == wanted


# Parquet


def test_a_training_set_keeps_its_messages_and_criteria(
    tmp_path: Path, make_row: Callable[..., dict[str, Any]], write_parquet: Callable[..., Path]
) -> None:
    rows = [
        make_row(0, prompt="One", criteria="Style."),
        make_row(1, prompt="Two"),
        make_row(2, prompt="one "),
    ]
    del rows[1]["prompt"][0]
    path = write_parquet(tmp_path / "train.parquet", rows)
    first, second = read_prompts(path, "no such column")
    assert (first.prompt, first.remarks) == ("One", {"criteria": "Style.", "system": "You write."})
    assert first.messages == (
        {"role": "system", "content": "You write."},
        {"role": "user", "content": "One"},
    )
    assert (second.prompt, second.remarks) == ("Two", {"system": ""})
    assert second.messages == ({"role": "user", "content": "Two"},)


def test_a_training_set_that_cannot_be_used_names_the_row(
    tmp_path: Path, make_row: Callable[..., dict[str, Any]], write_parquet: Callable[..., Path]
) -> None:
    rows = [make_row(0), make_row(1, prompt=" ")]
    assert refused(write_parquet(tmp_path / "train.parquet", rows)).startswith("train.parquet, row 1: ")


def test_a_parquet_file_can_be_larger_than_a_batch(
    tmp_path: Path, write_parquet: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_rows, "ROWS_AT_ONCE", 2)
    rows = [{"prompt": f"Write {number}."} for number in range(5)]
    path = write_parquet(tmp_path / "in.parquet", rows)
    assert texts(read_prompts(path)) == [row["prompt"] for row in rows]
    path = write_parquet(tmp_path / "in.parquet", [*rows, {"prompt": ""}])
    assert refused(path) == "in.parquet, row 5: 'prompt' is empty"


def test_parquet_of_other_types_is_refused(tmp_path: Path, write_parquet: Callable[..., Path]) -> None:
    path = write_parquet(tmp_path / "in.parquet", [{"prompt": b"Write."}])
    assert refused(path) == "in.parquet, row 0: 'prompt' is b'Write.', it must be a text"


def test_parquet_with_texts_that_are_no_utf8_is_refused(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    bytes_of = pyarrow.array([b"\xff\xfe"])
    column = pyarrow.Array.from_buffers(pyarrow.string(), 1, bytes_of.buffers())
    pyarrow.parquet.write_table(pyarrow.table({"prompt": column}), tmp_path / "in.parquet")
    assert refused(tmp_path / "in.parquet").startswith("in.parquet, row 0: 'prompt' cannot be read: 'utf-8'")
