"""Serving checkpoints, with a small server in vLLM's place."""

from __future__ import annotations

import json
import os
import tempfile
import textwrap
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from writing_rl.errors import SetupError
from writing_rl.models import serve as module
from writing_rl.models.serve import serve

#: What stands for vLLM: it notes how it was started, and does what the environment says.
SERVER = textwrap.dedent("""\
    import http.server, json, os, signal, subprocess, sys

    ways = os.environ.get("FAKE_WAYS", "").split()
    if "fails" in ways:
        sys.stdout.buffer.write(os.environ["FAKE_LOG"].encode("utf-8", "surrogateescape"))
        sys.exit(3)
    if "stubborn" in ways:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    child = subprocess.Popen(sleep).pid if "parent" in ways else 0
    loads = {"loads": 1, "never": 10**9}

    def note():
        note = {"pid": os.getpid(), "child": child, "arguments": sys.argv[1:], "variables": dict(os.environ)}
        for name in ("", "." + str(os.getpid())):
            with open(os.environ["FAKE_NOTE"] + ".new", "w") as file:
                json.dump(note, file)
            os.replace(file.name, os.environ["FAKE_NOTE"] + name)

    class Handler(http.server.BaseHTTPRequestHandler):
        left = sum(loads.get(way, 0) for way in ways)

        def answer(self, status, body):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            note()
            self.answer(503 if Handler.left > 0 else 200, b"")
            Handler.left -= 1

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            message = {"role": "assistant", "content": "By " + body["model"]}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self.answer(200, json.dumps({"choices": [choice]}).encode())

    port = int(sys.argv[sys.argv.index("--port") + 1])
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
    """)


class Given(NamedTuple):
    """What a server was given of the GPUs: their names, and the options that follow those of every server."""

    gpus: str | None
    options: list[str]

    @classmethod
    def of(cls, note: Any) -> Given:
        arguments = note["arguments"]
        options = arguments[arguments.index("--disable-uvicorn-access-log") + 1 :]
        return cls(note["variables"].get("CUDA_VISIBLE_DEVICES"), options)


#: What stands for `nvidia-smi`: the table of its next answer; the last one is repeated.
SMI = """\
#!/bin/sh
cd "$(dirname "$0")"
n=$(cat asked 2>/dev/null || echo 0)
n=$((n + 1))
echo $n > asked
echo "$*" > arguments
while [ ! -e answer$n ]; do n=$((n - 1)); done
cat answer$n
"""


class Fake:
    """The server in vLLM's place."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._note = folder / "note.json"
        self.logs = folder / "logs"
        self.logs.mkdir()
        package = folder / "lib" / "vllm" / "entrypoints" / "openai"
        package.mkdir(parents=True)
        for parent in (package, *package.parents[:2]):
            (parent / "__init__.py").touch()
        (package / "api_server.py").write_text(SERVER)
        (information := folder / "lib" / "vllm-0.1.dist-info").mkdir()
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.1\n")
        monkeypatch.setenv("PYTHONPATH", str(folder / "lib"), prepend=os.pathsep)
        monkeypatch.setenv("FAKE_NOTE", str(self._note))
        monkeypatch.setenv("TMPDIR", str(self.logs))
        monkeypatch.setattr(tempfile, "tempdir", str(self.logs))
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # whatever this machine has
        self._smi = folder / "bin"
        self.is_version("0.1")

    def has_gpus(self, *answers: Sequence[tuple[int, int]]) -> None:
        """Makes a machine with GPUs, of MiB in all and free ones, as they are at each look at them."""
        self._smi.mkdir()
        for number, gpus in enumerate(answers, start=1):
            lines = (
                f"{index}, GPU-{index}, NVIDIA H100 80GB HBM3, {total}, {free}, 570.1, 9.0\n"
                for index, (total, free) in enumerate(gpus)
            )
            (self._smi / f"answer{number}").write_text("".join(lines))
        (smi := self._smi / "nvidia-smi").write_text(SMI)
        smi.chmod(0o755)
        self._monkeypatch.setenv("PATH", str(self._smi), prepend=os.pathsep)
        self._monkeypatch.delenv("CUDA_VISIBLE_DEVICES")

    @property
    def looks(self) -> int:
        """How often the GPUs were looked at."""
        return int((self._smi / "asked").read_text())

    def is_version(self, version: str) -> None:
        self._monkeypatch.setattr(module, "version", lambda _: version)

    def does(self, *ways: str, log: str = "") -> None:
        self._monkeypatch.setenv("FAKE_WAYS", " ".join(ways))
        self._monkeypatch.setenv("FAKE_LOG", log)

    def note(self) -> Any:
        """How it was started; waits until it was asked whether it is ready."""
        wait_until(self._note.exists)
        return json.loads(self._note.read_text())

    def notes(self) -> dict[str, Given]:
        """What each model's server was given, by the model."""
        notes = [json.loads(path.read_text()) for path in self._note.parent.glob("note.json.[0-9]*")]
        return {note["arguments"][note["arguments"].index("--model") + 1]: Given.of(note) for note in notes}


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    return Fake(tmp_path, monkeypatch)


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_without_vllm_the_remedy_is_named(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", version)
    with pytest.raises(SetupError, match=r"vLLM is not installed here: run bash scripts/setup_env\.sh"):  # noqa: SIM117
        with serve("a", "b"):
            pass
    assert not any(fake.logs.iterdir())
