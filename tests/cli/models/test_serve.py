"""Serving checkpoints, with a small server in vLLM's place."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from writing_rl.errors import SetupError
from writing_rl.models import serve as module
from writing_rl.models.placement import NoRoom
from writing_rl.models.serve import placements, serve

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


@contextlib.contextmanager
def ended(process: subprocess.Popen[Any]) -> Iterator[subprocess.Popen[Any]]:
    """A process that is over after the context, however that ends."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def is_gone(pid: int) -> bool:
    """Whether a process has ended; somebody else may still have to be told."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def is_healthy(address: str) -> bool:
    with urllib.request.urlopen(f"http://{address}/health", timeout=10) as answer:
        return bool(answer.status == 200)


def test_a_checkpoint_is_served_while_the_context_lasts(fake: Fake) -> None:
    with serve("a/check point", "its name", ["--dtype", "half"]) as server:
        assert is_healthy(server.address)
        note = fake.note()
        assert not is_gone(note["pid"])
        (log,) = fake.logs.iterdir()
        assert log.name.startswith("writing-rl-vllm-")
    assert is_gone(note["pid"])
    assert not any(fake.logs.iterdir())
    host, port = server.address.split(":")
    assert note["arguments"] == [
        *("--host", host, "--port", port, "--model", "a/check point", "--served-model-name", "its name"),
        *("--disable-uvicorn-access-log", "--dtype", "half"),
    ]
    assert "VLLM_CPU_KVCACHE_SPACE" not in note["variables"]


def test_on_a_cpu_it_has_what_a_cpu_needs(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.is_version("0.28.0+cpu")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE", raising=False)
    monkeypatch.delenv("VLLM_CPU_OMP_THREADS_BIND", raising=False)
    with serve("a", "b", ["--dtype", "bfloat16"]):
        note = fake.note()
    arguments = " ".join(note["arguments"])
    assert "--enforce-eager" in arguments
    assert arguments.index("--dtype float32") < arguments.index("--dtype bfloat16")  # the last one counts
    variables = note["variables"]
    assert (variables["OMP_NUM_THREADS"], variables["VLLM_CPU_KVCACHE_SPACE"]) == ("3", "1")
    assert variables["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"


def test_it_is_waited_for_and_no_proxy_is_asked(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    fake.does("loads")
    with serve("a", "b"):
        assert not is_gone(fake.note()["pid"])


def test_several_are_served_at_a_time(fake: Fake) -> None:
    with serve("a", "b") as first, serve("c", "d") as second:
        assert first.address != second.address
        assert is_healthy(first.address)
        assert is_healthy(second.address)


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("INFO starting\nno such checkpoint\n\n", "no such checkpoint"),
        ("", "it said nothing"),
        ("\n \n", "it said nothing"),
        (
            "(APIServer pid=7) INFO x\n(EngineCore pid=8) pydantic_core.ValidationError: 1 is wrong\n"
            "(EngineCore pid=8)   No config\n(APIServer pid=7) RuntimeError: Engine failed\n",
            "pydantic_core.ValidationError: 1 is wrong No config",
        ),
        ("Traceback:\n  raise ValueError: no\nOSError: \udcff gone", "OSError: \ufffd gone"),
        ("OSError: no file\nINFO 11-27 10:00:00 [executor.py:12] ends\n", "OSError: no file"),
        ("x" * 1000, "x" * 300),
        (
            "(Worker_TP0 pid=9) ERROR 11-27 10:00:00 [v1/.../executor.py:9] Traceback:\n"
            "(Worker_TP0 pid=9) ERROR 11-27 10:00:00 [executor.py:9] ValueError: Free memory is less\n"
            "(Worker_TP0 pid=9) ERROR 11-27 10:00:00 [executor.py:9] than is wanted\n"
            "(Worker_TP0 pid=9) INFO 11-27 10:00:00 [executor.py:12] ends\n"
            "(EngineCore pid=8) Exception: WorkerProc failed. See stack trace for root cause.\n"
            "(APIServer pid=7) RuntimeError: Engine core initialization failed. See root cause above.\n",
            "ValueError: Free memory is less than is wanted",
        ),
        (
            "RuntimeError: It failed. See root cause above.\n",
            "RuntimeError: It failed. See root cause above.",
        ),
    ],
)
def test_a_server_that_fails_says_why(fake: Fake, log: str, said: str) -> None:
    fake.does("fails", log=log)
    with pytest.raises(SetupError) as error, serve("a/b", "c"):
        pytest.fail("it is not ready")
    (kept,) = fake.logs.iterdir()
    assert str(error.value) == f"vLLM cannot serve a/b: {said} (its log: {kept})"
    assert kept.read_bytes() == log.encode("utf-8", "surrogateescape")


def test_a_server_that_is_never_ready_is_given_up(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_TIMEOUT_S", 0.3)
    fake.does("never")
    with pytest.raises(SetupError, match="was not ready to serve a after 0 s") as error, serve("a", "b"):
        pytest.fail("it is not ready")
    (log,) = fake.logs.iterdir()
    assert str(log) in str(error.value)


def test_it_ends_with_whatever_ends_the_context(fake: Fake) -> None:
    with pytest.raises(KeyboardInterrupt), serve("a", "b"):
        raise KeyboardInterrupt
    assert is_gone(fake.note()["pid"])


def test_a_server_that_does_not_end_is_killed(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_TIMEOUT_S", 0.05)
    fake.does("stubborn")
    with serve("a", "b"):
        note = fake.note()
    assert is_gone(note["pid"])


@pytest.mark.parametrize("crashed", [False, True])
def test_no_process_of_the_server_is_left(fake: Fake, crashed: bool) -> None:
    fake.does("parent")
    with serve("a", "b"):
        note = fake.note()
        assert not is_gone(note["child"])
        if crashed:
            os.kill(note["pid"], signal.SIGKILL)
            wait_until(lambda: is_gone(note["pid"]))
    wait_until(lambda: is_gone(note["child"]))


def test_a_server_that_ends_by_itself_is_told_and_its_log_kept(fake: Fake) -> None:
    with serve("a", "b") as server:
        server.check()
        os.kill(fake.note()["pid"], signal.SIGKILL)
        # The system tells a parent once the last thread is over, which is after the process looks dead.
        with pytest.raises(SetupError, match="vLLM with a has ended: ") as error:
            wait_until(lambda: server.check() is not None)
    log = Path(str(error.value).partition("(its log: ")[2].rstrip(")"))
    assert log.is_file()
    log.unlink()


def test_ctrl_c_is_handled_as_before_once_it_is_ready(fake: Fake) -> None:
    def handler(*_: object) -> None: ...

    before = signal.signal(signal.SIGINT, handler)
    try:
        with serve("a", "b"):
            assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_may_serve(fake: Fake) -> None:
    healthy = []

    def work() -> None:
        with serve("a", "b") as server:
            healthy.append(is_healthy(server.address))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert healthy == [True]


def test_the_server_ends_when_its_parent_is_killed(fake: Fake) -> None:
    code = (
        "import time\nfrom writing_rl.models.serve import serve\nwith serve('a', 'b'):\n    time.sleep(600)\n"
    )
    with ended(subprocess.Popen([sys.executable, "-c", code])) as parent:
        note = fake.note()
        assert not is_gone(note["pid"])
        parent.kill()
    wait_until(lambda: is_gone(note["pid"]))


# GPUs


def weights(folder: Path, gib: int) -> str:
    """A checkpoint with weights of that size, of which nothing is on the disk."""
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    with open(folder / "model.safetensors", "wb") as file:
        file.truncate(gib << 30)
    return str(folder)


def test_a_server_gets_the_gpu_with_the_most_free_memory(fake: Fake, tmp_path: Path) -> None:
    fake.has_gpus([(80000, 30000), (80000, 60000), (80000, 50000)])
    with serve(weights(tmp_path / "a", 15), "a", ["--seed", "3"]):
        note = Given.of(fake.note())
    assert note == ("GPU-1", ["--gpu-memory-utilization", "0.7372", "--seed", "3"])


def test_what_the_environment_leaves_to_it_counts(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.has_gpus([(80000, 79000), (80000, 60000), (80000, 70000)])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    with serve("a", "a"):
        assert Given.of(fake.note()).gpus == "GPU-0"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with serve("a", "a"):
        assert Given.of(fake.note()).gpus == "GPU-1"


def test_a_model_that_needs_two_gpus_gets_them(fake: Fake, tmp_path: Path) -> None:
    fake.has_gpus([(80000, 79000), (80000, 30000), (80000, 79000)])
    with serve(weights(tmp_path / "a", 100), "a"):
        gpus, options = Given.of(fake.note())
    assert gpus == "GPU-0,GPU-2"
    assert options == ["--gpu-memory-utilization", "0.92", "--tensor-parallel-size", "2"]


def test_what_the_user_says_of_memory_and_gpus_counts(fake: Fake, tmp_path: Path) -> None:
    fake.has_gpus([(80000, 79000), (80000, 30000)])
    own = ["--gpu_memory_utilization=0.3", "-tp", "2"]
    with serve(weights(tmp_path / "a", 15), "a", own):
        assert Given.of(fake.note()) == ("GPU-0,GPU-1", own)


def test_on_a_cpu_no_gpu_is_looked_for(fake: Fake) -> None:
    fake.has_gpus([(80000, 79000)])
    fake.is_version("0.28.0+cpu")
    assert placements(["a", "b"]) == [None, None]
    with serve("a", "a"):
        assert Given.of(fake.note()) == (None, [])
    with pytest.raises(FileNotFoundError):
        assert fake.looks


def test_without_room_nothing_is_started(fake: Fake, tmp_path: Path) -> None:
    fake.has_gpus([(80000, 9000)])
    with pytest.raises(NoRoom, match=r"/a does not fit into .* \(0: 8\.8 GiB\)") as error:  # noqa: SIM117
        with serve(weights(tmp_path / "a", 15), "a"):
            pytest.fail("it has no room")
    assert "\n" not in str(error.value)
    assert not any(fake.logs.iterdir())


def test_the_next_server_is_placed_when_the_memory_is_free_again(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RELEASE_POLL_S", 0.01)
    fake.has_gpus([(80000, 79000)], [(80000, 6000)], [(80000, 6000)], [(80000, 78900)])
    with serve("a", "a"):
        assert fake.looks == 1
    assert fake.looks == 4
    with serve("b", "b"):
        assert fake.notes()["b"].options == ["--gpu-memory-utilization", "0.92"]


def test_memory_that_somebody_else_takes_meanwhile_is_not_waited_for_long(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RELEASE_POLL_S", 0.01)
    monkeypatch.setattr(module, "RELEASE_TIMEOUT_S", 0.1)
    fake.has_gpus([(80000, 79000)], [(80000, 6000)])
    with serve("a", "a"):
        pass
    assert fake.looks > 1


# Checkpoints that write


#: Runs the script as a terminal does, whatever this process does with Ctrl-C.
TERMINAL = (
    "import signal\n"
    "from writing_rl.cli import main\n"
    "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "main()\n"
)


def script(folder: Path, models: str = "./model") -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    """The script with two prompts for a checkpoint, or several."""
    (folder / "in.jsonl").write_text('{"prompt": "One"}\n{"prompt": "Two"}\n')
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "config.json").write_text("{}")
    command = [sys.executable, "-c", TERMINAL, "data", "generate", "in.jsonl", "--models", models]
    command += ["--output", "out.jsonl", "--vllm-args", "--seed 3"]
    return started(command, folder)


def started(command: list[str], folder: Path) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    return ended(subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True))


def test_a_checkpoint_writes(fake: Fake, tmp_path: Path) -> None:
    with script(tmp_path) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Starting vLLM with model\n" in err
    assert "2 of 2 responses\n  ./model: 2\n" in out
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["responses"] for line in lines] == [[{"model": "./model", "text": "By ./model"}]] * 2
    assert [line["cost_usd"] for line in lines] == [0.0, 0.0]
    note = fake.note()
    assert note["arguments"][-2:] == ["--seed", "3"]
    assert is_gone(note["pid"])


def test_a_checkpoint_that_cannot_be_served_is_one_line(fake: Fake, tmp_path: Path) -> None:
    fake.does("fails", log="ValueError: no weights\n")
    with script(tmp_path) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.splitlines()[-1].startswith(
        "Error: vLLM cannot serve model: ValueError: no weights (its log: "
    )
    assert "Traceback" not in err
    assert "0 of 2 responses" in out


def test_ctrl_c_ends_the_wait_for_a_checkpoint(fake: Fake, tmp_path: Path) -> None:
    fake.does("never")
    with script(tmp_path) as process:
        note = fake.note()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.endswith("\nInterrupted. What was written is kept; the same command goes on.\n")
    assert "Traceback" not in err
    assert is_gone(note["pid"])


def test_checkpoints_write_on_a_gpu_one_after_the_other(fake: Fake, tmp_path: Path) -> None:
    # The second one is placed when the first one has ended, which takes one more look.
    fake.has_gpus([(80000, 79000), (80000, 50000)], [(80000, 79000), (80000, 79500)])
    for name in ("model", "other"):
        weights(tmp_path / name, 40)
    with script(tmp_path, "./model,./other") as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "4 of 4 responses" in out
    assert "Starting vLLM with model on GPU 0\n" in err
    assert "Starting vLLM with other on GPU 1\n" in err
    options = ["--gpu-memory-utilization", "0.92", "--seed", "3"]
    assert fake.notes() == {"model": ("GPU-0", options), "other": ("GPU-1", options)}


# Two checkpoints side by side


def chat(folder: Path, *arguments: str) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    """The chat of two checkpoints with weights of 15 GiB, with nobody who judges."""
    for name in ("a", "b"):
        weights(folder / name, 15)
    command = [sys.executable, "-c", TERMINAL, "chat", "--model", "./a"]
    return started([*command, "--against", "./b", *arguments], folder)


@pytest.mark.parametrize(
    ("gpus", "arguments", "given"),
    [
        # A GPU each, the first one on the one with the most free memory.
        (
            [(80000, 60000), (80000, 79000)],
            [],
            {"a": ("GPU-1", ["0.92"]), "b": ("GPU-0", ["0.7372"])},
        ),
        ([(80000, 79000)], [], {"a": ("GPU-0", ["0.46"]), "b": ("GPU-0", ["0.46"])}),
        (
            [(80000, 79000)],
            ["--vllm-args=--gpu-memory-utilization 0.3"],
            {"a": ("GPU-0", ["0.3"]), "b": ("GPU-0", ["0.3"])},
        ),
        # No room for both: one after the other.
        ([(40000, 39000)], [], {"a": ("GPU-0", ["0.92"]), "b": ("GPU-0", ["0.92"])}),
    ],
)
def test_two_checkpoints_chat_on_the_gpus_that_there_are(
    fake: Fake,
    tmp_path: Path,
    gpus: list[tuple[int, int]],
    arguments: list[str],
    given: dict[str, tuple[str, list[str]]],
) -> None:
    fake.has_gpus(gpus)
    with chat(tmp_path, "--prompt", "Write.", *arguments) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "By ./a" in out
    assert "By ./b" in out
    notes = fake.notes()
    assert {model: (gpus, options[1:]) for model, (gpus, options) in notes.items()} == given
    assert {options[0] for _, options in notes.values()} == {"--gpu-memory-utilization"}
    assert ("Note: one model writes after the other, for a (about 21.0 GiB) and b" in err) == (
        gpus[0][0] == 40000
    )


def test_a_chat_without_room_for_both_and_without_prompts_is_one_line(fake: Fake, tmp_path: Path) -> None:
    fake.has_gpus([(40000, 39000)])
    with chat(tmp_path) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    (line,) = err.splitlines()
    assert line.startswith(
        "Error: a (about 21.0 GiB) and b (about 21.0 GiB) do not fit into the free memory of"
    )
    assert line.endswith(", or let them write one after the other, to --prompts FILE")


def test_a_gpu_that_cannot_be_asked_is_one_line(fake: Fake, tmp_path: Path) -> None:
    fake.has_gpus([])
    (tmp_path / "bin" / "nvidia-smi").write_text("#!/bin/sh\necho no driver\nexit 9\n")
    with chat(tmp_path, "--prompt", "Write.") as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.splitlines() == [
        "Error: nvidia-smi fails (no driver): install or reload the NVIDIA driver (580 or newer)",
    ]


def test_without_vllm_the_remedy_is_named(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", version)
    with pytest.raises(SetupError, match=r"vLLM is not installed here: run bash scripts/setup_env\.sh"):  # noqa: SIM117
        with serve("a", "b"):
            pass
    assert not any(fake.logs.iterdir())
