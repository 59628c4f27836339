from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.commands import COMMAND

KEY = "sk-a-key-that-nobody-may-see"

WEAK = "The sea is big. It is blue. The end."
FAIR = "Grey waves rolled in all morning, and nobody on the pier spoke a word."
GOOD = (
    "When the tide went out that evening, it left my grandfather's boat on the sand, and his letters in it."
)
#: What the judge finds in the texts, whatever anybody else says of them.
WORTH: Mapping[str, float] = {WEAK: 2, FAIR: 5, GOOD: 9}


Script = Callable[..., Any]


@pytest.fixture
def prepare_data(run_cli: Script) -> Script:
    """Runs the script in this process."""
    return functools.partial(run_cli, "data", "prepare")


def section(body: Mapping[str, Any], name: str) -> str:
    """What a request to the judge shows as its text, task or criteria."""
    found = re.search(rf"=== {name} ===\n(.*?)\n=== End of", body["messages"][0]["content"], re.DOTALL)
    assert found is not None
    return found[1]


def says(grade: float, number: int = 5) -> str:
    """A judge's answer with the same grade for each criterion, of which the default ones are five."""
    return f"It has merits and faults.\n[[{', '.join([f'{grade:g}'] * number)}]]"


def by_worth(body: Mapping[str, Any]) -> str:
    """A judge's answer that gives the text what it is worth by each line of the criteria."""
    return says(WORTH[section(body, "Text")], len(section(body, "Criteria").splitlines()))


@pytest.fixture
def judge(judge_server: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An endpoint that gives texts what they are worth."""
    monkeypatch.setenv("OPENAI_BASE_URL", judge_server.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    answer_with(judge_server, lambda body: reply(by_worth(body)))
    return judge_server


def answer_with(server: Any, answer: Callable[[dict[str, Any]], Any]) -> None:
    server.choose = lambda number: answer(server.requests[number - 1])


def entry(number: int, *texts: str, **more: Any) -> dict[str, Any]:
    """A line whose scores are upside down; the models are called by what their texts are worth."""
    names = {WEAK: "weak", FAIR: "fair", GOOD: "good"}
    responses = [
        {"text": text, "score": -place, "model": names.get(text)} for place, text in enumerate(texts)
    ]
    return {"prompt": f"Write about sea {number}.", "responses": responses, **more}


def write(path: Path, *entries: Mapping[str, Any]) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in entries), encoding="utf-8")
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two prompts with two responses each."""
    return write(tmp_path / "in.jsonl", *(entry(number, WEAK, GOOD) for number in range(2)))


@pytest.fixture
def options(tmp_path: Path) -> list[object]:
    """Of most tests."""
    return [
        *("--out", tmp_path / "out", "--scores", "grade", "--judge", "m", "--test-count", 1),
        *("--parallel", 4),  # as many connections as the server takes at once
    ]


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    """The rows of both sets, by their prompts."""
    import pyarrow.parquet

    both = [
        row
        for name in ("train", "test")
        for row in pyarrow.parquet.read_table(folder / f"{name}.parquet").to_pylist()
    ]
    return {row["reward_model"]["ground_truth"]["prompt"]: row for row in both}


def scored(folder: Path) -> dict[str, list[tuple[str, float]]]:
    """The references of each prompt with their scores."""
    return {
        prompt: list(
            zip(row["reward_model"]["ground_truth"]["target"], row["extra_info"]["scores"], strict=True)
        )
        for prompt, row in rows(folder).items()
    }


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "grades.jsonl").read_text().splitlines()]


def written(folder: Path) -> list[str]:
    """What is there of the data set."""
    return sorted(path.name for path in folder.glob("*") if path.suffix == ".parquet") + [
        path.name for path in folder.glob("prepare.json")
    ]


# --- going on ----------------------------------------------------------------------------------------------


def test_after_a_kill_at_most_what_was_in_flight_is_asked_again(
    judge: Any, reply: Any, prepare_data: Script, tmp_path: Path, options: list[object]
) -> None:
    data = write(tmp_path / "in.jsonl", *(entry(number, WEAK, FAIR, GOOD) for number in range(4)))
    working = judge.choose
    judge.choose = lambda number: working(number) if number <= 5 else reply(hang=True)
    command = [*COMMAND, "data", "prepare", str(data), *map(str, options), "--parallel", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ)
    file = tmp_path / "out" / "grades.jsonl"
    try:
        late = time.monotonic() + 60
        while not (len(judge.requests) == 7 and file.read_bytes().count(b"\n") == 5):
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < late
            time.sleep(0.01)
    finally:
        process.kill()
        process.communicate()
    assert written(tmp_path / "out") == []

    judge.choose = working
    done = prepare_data(data, *options)
    assert done.code == 0, done.err
    assert len(judge.requests) == 12 + 2
    assert len(lines(tmp_path / "out")) == 12
    for references in scored(tmp_path / "out").values():
        assert references == [(WEAK, 2), (FAIR, 5), (GOOD, 9)]
