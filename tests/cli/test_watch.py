"""The process that a training runs in, as `writing-rl train` watches it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from writing_rl.launch.train import watch


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


SAYS = (
    r"import sys; out = sys.stdout.buffer; "
    r"out.write(b'plain\n(Actor pid=1) [writing-rl] step 1/2 | \x1b[31mred\x1b[0m\n"
    r"Error: no model\nbell\x07 \x1b]0;title\x07 \xc2\x9b31m \xff\n'); out.flush(); sys.exit(3)"
)


def test_lines_of_ours_and_errors_are_shown_and_all_is_logged(tmp_path: Path) -> None:
    shown = io.BytesIO()
    assert watch(python(SAYS), tmp_path / "log", shown, verbose=False) == 3
    assert shown.getvalue() == b"step 1/2 | \x1b[31mred\x1b[0m\nError: no model\n"
    log = (tmp_path / "log").read_bytes()
    assert log.startswith(b"plain\n(Actor pid=1) [writing-rl] step")
    assert log.endswith(b"bell ]0;title 31m \xff\n")


def test_verbose_shows_everything(tmp_path: Path) -> None:
    shown = io.BytesIO()
    watch(python(SAYS), tmp_path / "log", shown, verbose=True)
    assert shown.getvalue() == (tmp_path / "log").read_bytes()


class Closed(io.BytesIO):
    def write(self, part: object) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_a_closed_terminal_does_not_end_the_run(tmp_path: Path) -> None:
    assert watch(python(SAYS), tmp_path / "log", Closed(), verbose=True) == 3
    assert (tmp_path / "log").read_bytes().startswith(b"plain\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_command_reaches_the_run(tmp_path: Path, number: signal.Signals) -> None:
    code = (
        "import sys; from pathlib import Path; from writing_rl.launch.train import watch\n"
        f"child = [sys.executable, '-c', {WAITS!r}]\n"
        "sys.exit(watch(child, Path('log'), sys.stdout.buffer, verbose=True))"
    )
    process = subprocess.Popen(python(code), cwd=tmp_path, stdout=subprocess.PIPE)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    late = threading.Timer(60, process.kill)
    late.start()
    process.send_signal(number)
    assert process.stdout.read() == f"ends by {number.value}\n".encode()
    assert process.wait() == 5
    late.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


WAITS = (
    "import os, signal, sys\n"
    "def end(number, frame):\n"
    "    print('ends by', int(number), flush=True)\n"
    "    sys.exit(5)\n"
    "for number in (signal.SIGTERM, signal.SIGHUP): signal.signal(number, end)\n"
    "print(os.getpid(), flush=True)\n"
    "signal.pause()\n"
)


def test_a_run_that_a_signal_ended_has_its_number(tmp_path: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert watch(python(code), tmp_path / "log", io.BytesIO(), verbose=False) == 128 + signal.SIGKILL
