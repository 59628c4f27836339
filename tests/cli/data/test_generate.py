from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from writing_rl.cli import main
from writing_rl.judging.client import request_queue

INTERRUPTED = "Interrupted. What was written is kept; the same command goes on."


def completion(text: str | None, ending: str = "stop") -> str:
    """The body of an answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": ending}
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return json.dumps({"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage})


def write(path: Path, *entries: Any) -> Path:
    entries = tuple({"prompt": entry} if isinstance(entry, str) else entry for entry in entries)
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries), encoding="utf-8")
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def asked(server: Any) -> Counter[tuple[str, str]]:
    """How often each model was asked for each prompt."""
    return Counter((request["model"], request["messages"][-1]["content"]) for request in server.requests)


class Done(NamedTuple):
    """What came of a start of the script."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        return self.err.rstrip("\n").split("\n")[-1]


Start = Callable[..., Done]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Start:
    """Starts the script within this process, which does not wait before it asks again."""
    monkeypatch.setattr(request_queue, "FIRST_PAUSE_S", 0.0)

    def started(*arguments: str | Path) -> Done:
        code: Any = 0
        try:
            main(["data", "generate", *map(str, arguments)])
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        assert "never retrieved" not in err
        return Done(1, out, f"{err}{code}\n") if isinstance(code, str) else Done(code, out, err)

    return started


@pytest.fixture
def given(tmp_path: Path, judge_server: Any, reply: Any) -> list[str | Path]:
    """Arguments for three prompts and one model, which writes."""
    judge_server.replies = [reply(body=completion("Once upon a time."))]
    judge_server._server.handle_error = lambda *_: None  # requests are given up here
    prompts = write(tmp_path / "prompts.jsonl", "One", "Two", "Three")
    return [
        prompts,
        "--models",
        f"m@{judge_server.url}",
        "--output",
        tmp_path / "out.jsonl",
        "--parallel",
        "2",
    ]


# Ends from outside


#: Runs the script as a terminal does, whatever this process does with Ctrl-C.
TERMINAL = (
    "import signal\n"
    "from writing_rl.cli import main\n"
    "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "main()\n"
)


@contextlib.contextmanager
def in_mid_run(given: list[str | Path], server: Any, reply: Any, answered: int) -> Iterator[Any]:
    """The script in a process of its own, once two requests hang and the others are in the file."""
    server.choose = lambda number: reply(body=completion("A story."), hang=number > answered)
    command = [sys.executable, "-c", TERMINAL, "data", "generate", *map(str, given)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        output = Path(given[4])
        until = time.monotonic() + 60
        try:
            while len(server.requests) < answered + 2 or output.read_bytes().count(b"\n") < answered:
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.01)
            yield process
        finally:
            process.kill()
    server.choose = lambda _: reply(body=completion("A story."))


def test_after_a_kill_only_what_was_in_flight_is_paid_for_twice(
    tmp_path: Path, start: Start, given: list[str | Path], judge_server: Any, reply: Any
) -> None:
    write(Path(given[0]), *map(str, range(10)))
    with in_mid_run(given, judge_server, reply, 4) as process:
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert len(judge_server.requests) == 6
    done = start(*given)
    assert (done.code, len(read(tmp_path / "out.jsonl"))) == (0, 10)
    assert "10 of 10 responses" in done.out
    assert len(judge_server.requests) == 12
    assert max(asked(judge_server).values()) == 2


def test_ctrl_c_keeps_what_was_written_and_says_so(
    tmp_path: Path, start: Start, given: list[str | Path], judge_server: Any, reply: Any
) -> None:
    with in_mid_run(given, judge_server, reply, 1) as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.endswith(f"\n{INTERRUPTED}\n")
    assert "Traceback" not in err
    assert "1 of 3 responses" in out
    assert len(read(tmp_path / "out.jsonl")) == 1
    assert "3 of 3 responses" in start(*given).out
    assert len(judge_server.requests) == 5


def test_one_start_at_a_time(given: list[str | Path], start: Start, judge_server: Any, reply: Any) -> None:
    with in_mid_run(given, judge_server, reply, 1):
        done = start(*given)
        assert done.code == 1
        assert done.err == f"Error: {given[4]} is in use by another process: wait until it ends\n"
    assert "3 of 3 responses" in start(*given).out
