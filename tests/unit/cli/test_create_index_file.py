from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

MakeRow = Callable[..., dict[str, Any]]
WriteParquet = Callable[[Path, list[dict[str, Any]]], Path]


@dataclass
class Result:
    """What a run of the script came to."""

    code: int
    out: str
    error: str


@pytest.fixture
def script(repository: Path) -> Path:
    return repository / "scripts" / "create_index_file.py"


@pytest.fixture
def run(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Runs the script in a temporary working directory."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", [str(script), *arguments])
        code: Any = 0
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        if isinstance(code, str):  # the interpreter prints it and exits with 1
            return Result(1, captured.out, f"{captured.err}{code}\n")
        return Result(code or 0, captured.out, captured.err)

    return run


@pytest.fixture
def data(tmp_path: Path, make_row: MakeRow, write_parquet: WriteParquet) -> Path:
    """`data/train.parquet` below the working directory: ids 4, 2 and 10 with three references each."""
    return write_parquet(tmp_path / "data" / "train.parquet", [make_row(number) for number in (4, 2, 10)])


@pytest.fixture
def index_file(tmp_path: Path) -> Path:
    return tmp_path / "running_file" / "index_writing-rl.json"


def content(path: Path) -> dict[str, int]:
    return json.loads(path.read_text())


def put(path: Path, indexes: Any) -> str:
    path.parent.mkdir(exist_ok=True)
    text = indexes if isinstance(indexes, str) else json.dumps(indexes)
    path.write_text(text)
    return text


def test_a_missing_file_is_made(run: Callable[..., Result], data: Path, index_file: Path) -> None:
    assert run() == Result(0, "running_file/index_writing-rl.json: made for 3 samples\n", "")
    assert content(index_file) == {"2": 0, "4": 0, "10": 0}


def test_the_environment_gives_the_defaults(
    run: Callable[..., Result], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.parent.rename(tmp_path / "elsewhere")
    monkeypatch.setenv("EXPERIMENT_NAME", "my-writer")
    monkeypatch.setenv("DATA_DIR", "elsewhere")
    assert run().code == 0
    assert content(tmp_path / "running_file" / "index_my-writer.json") == {"2": 0, "4": 0, "10": 0}


def test_empty_variables_are_unset_ones(
    run: Callable[..., Result], data: Path, index_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPERIMENT_NAME", "")
    monkeypatch.setenv("DATA_DIR", "")
    assert run().code == 0
    assert index_file.exists()


def test_arguments_go_before_the_environment(
    run: Callable[..., Result], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPERIMENT_NAME", "my-writer")
    monkeypatch.setenv("DATA_DIR", "nowhere")
    assert run("--experiment", "other", "--data", str(data), "--folder", "indexes").code == 0
    assert len(content(tmp_path / "indexes" / "index_other.json")) == 3
    assert not (tmp_path / "running_file").exists()


def test_an_existing_file_is_kept(run: Callable[..., Result], data: Path, index_file: Path) -> None:
    before = put(index_file, {"10": 1, "4": 2, "2": 0})
    assert run() == Result(0, "running_file/index_writing-rl.json: kept, it covers all 3 samples\n", "")
    assert index_file.read_text() == before


def test_missing_samples_are_added(run: Callable[..., Result], data: Path, index_file: Path) -> None:
    put(index_file, {"4": 2})
    assert run().out == "running_file/index_writing-rl.json: kept 1 samples and added 2 missing ones\n"
    assert content(index_file) == {"2": 0, "4": 2, "10": 0}


@pytest.mark.parametrize(
    ("indexes", "complaint"),
    [
        ({"3": 0}, ", id 3: the training data has no such sample; is this its index file?"),
        ({"4": 3}, ", id 4: the index is 3, but the sample has 3 reference(s), so the highest is 2"),
        ({"4": -1}, ", id 4: the index is -1, the lowest is 0"),
        ({"4": 0.5}, ", id 4: the index is 0.5, it must be a whole number"),
        ([0, 0], " must hold one JSON object of ids and indexes, not a list"),
    ],
)
def test_a_file_that_does_not_fit_is_named_and_left_alone(
    run: Callable[..., Result], data: Path, index_file: Path, indexes: Any, complaint: str
) -> None:
    before = put(index_file, indexes)
    assert run() == Result(1, "", f"Error: running_file/index_writing-rl.json{complaint}\n")
    assert index_file.read_text() == before
    assert list(index_file.parent.iterdir()) == [index_file]


def test_a_file_that_is_not_json_is_left_alone(
    run: Callable[..., Result], data: Path, index_file: Path
) -> None:
    before = put(index_file, '{"4": ')
    result = run()
    assert (result.code, result.out) == (1, "")
    assert result.error.startswith("Error: running_file/index_writing-rl.json is not JSON (")
    assert result.error.endswith("writing-rl index create --reset\n")
    assert index_file.read_text() == before


def test_a_reset_says_what_is_lost(run: Callable[..., Result], data: Path, index_file: Path) -> None:
    put(index_file, {"4": 2, "2": 2, "10": 0})
    result = run("--reset")
    assert result.code == 0
    assert "3 samples: 1 at 0, 2 at 2" in result.out.splitlines()[0]
    assert content(index_file) == {"2": 0, "4": 0, "10": 0}


def test_a_reset_mends_a_broken_file(run: Callable[..., Result], data: Path, index_file: Path) -> None:
    put(index_file, "{")
    result = run("--reset")
    assert result.code == 0
    assert "an unreadable index" in result.out
    assert content(index_file) == {"2": 0, "4": 0, "10": 0}


def test_a_reset_with_bad_data_loses_nothing(run: Callable[..., Result], index_file: Path) -> None:
    before = put(index_file, {"4": 2})
    assert run("--reset").code == 1
    assert index_file.read_text() == before


def test_a_reset_without_a_file_makes_one(run: Callable[..., Result], data: Path, index_file: Path) -> None:
    assert run("--reset").out == "running_file/index_writing-rl.json: made for 3 samples\n"


def test_a_number_stands_for_a_training_set(run: Callable[..., Result], index_file: Path) -> None:
    assert run("--data-num", "3").code == 0
    assert content(index_file) == {"0": 0, "1": 0, "2": 0}
    put(index_file, {"0": 4})
    assert run("--data-num", "3").code == 0
    assert content(index_file) == {"0": 4, "1": 0, "2": 0}


def test_ids_that_are_starting_references_are_taken_over(
    run: Callable[..., Result],
    tmp_path: Path,
    index_file: Path,
    make_row: MakeRow,
    write_parquet: WriteParquet,
) -> None:
    rows = [make_row(start, index=number) for number, start in enumerate([0, 2, 2, 1])]
    write_parquet(tmp_path / "data" / "train.parquet", rows)
    assert run().code == 0
    assert content(index_file) == {"0": 0, "1": 2, "2": 2, "3": 1}


@pytest.mark.parametrize("number", ["0", "-1", "many", "1.5"])
def test_a_bad_number_is_refused(run: Callable[..., Result], tmp_path: Path, number: str) -> None:
    result = run(f"--data-num={number}")
    assert result.code == 2
    assert "--data-num" in result.error
    assert list(tmp_path.iterdir()) == []


def test_missing_data_is_one_line(run: Callable[..., Result], tmp_path: Path) -> None:
    assert run() == Result(
        1,
        "",
        "Error: data/train.parquet does not exist: make it, or set DATA_DIR to the folder of train.parquet "
        "and test.parquet\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_a_bad_row_is_one_line(
    run: Callable[..., Result], tmp_path: Path, make_row: MakeRow, write_parquet: WriteParquet
) -> None:
    write_parquet(tmp_path / "data" / "train.parquet", [make_row(0), make_row(1, target=[])])
    result = run()
    assert result.code == 1
    assert result.error == (
        "Error: data/train.parquet, row 1: reward_model.ground_truth.target is empty: a sample needs at "
        "least one reference\n"
    )


def test_a_folder_that_cannot_be_written_is_one_line(
    run: Callable[..., Result], data: Path, tmp_path: Path
) -> None:
    (tmp_path / "running_file").write_text("in the way")
    result = run()
    assert result.code == 1
    assert result.error.startswith("Error: running_file/index_writing-rl.json cannot be ")
    assert result.error.count("\n") == 1
