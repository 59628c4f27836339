"""Fixtures that several test files share."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.commands import writing_rl

# A machine under load must not fail a property that holds.
hypothesis.settings.register_profile("writing_rl", deadline=None, max_examples=40)
hypothesis.settings.load_profile("writing_rl")

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--nightly", action="store_true", help="run the tests marked `nightly`, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without `--nightly`, tests marked so are left out."""
    if not config.getoption("--nightly"):
        left_out = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of two test processes one runs the trainings, one after another, and the other everything else."""
    from xdist.scheduler import LoadFileScheduling

    class TrainingsTogether(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "trainings" if nodeid.startswith("tests/e2e/") else super()._split_scope(nodeid)

    return TrainingsTogether(config, log)


#: What the code reads from the environment; no test depends on the shell that it was started from.
VARIABLES = (
    "API_PARALLEL",
    "BASE_MODEL",
    "DASHSCOPE_API_KEY",
    "DASHSCOPE_API_REGION",
    "DASHSCOPE_HTTP_BASE_URL",
    "DATA_DIR",
    "EXPERIMENT_NAME",
    "JUDGE_MODEL",
    "JUDGE_REQUEST",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "PPO_MAX_TOKEN_LEN_PER_GPU",
    "REWARD_STRATEGY",
    "VERL_DATAPROTO_SERIALIZATION_METHOD",
    "VERL_PLATFORM",
    "WANDB_API_KEY",
    "WANDB_PROJECT",
)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes away the settings of the surrounding shell, and proxies, which would catch loopback requests."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    # A run starts a Ray of its own, also beside a cluster: another test's, or one of the machine.
    monkeypatch.setenv("RAY_ADDRESS", "local")


@pytest.fixture
def repository() -> Path:
    """The root of the repository."""
    return REPOSITORY


def _make_row(
    id: Any = 0,
    *,
    index: Any = None,
    split: Any = "train",
    prompt: Any = "Write a story about the sea.",
    target: Any = ("A weak text.", "A better text.", "The best text."),
    criteria: Any = None,
) -> dict[str, Any]:
    return {
        "data_source": "writing",
        "prompt": [{"role": "system", "content": "You write."}, {"role": "user", "content": prompt}],
        "ability": "write",
        "reward_model": {
            "style": "rule",
            "ground_truth": {
                "prompt": prompt,
                "target": list(target) if isinstance(target, tuple) else target,
                "criteria": criteria,
                "id": id,
            },
        },
        "extra_info": {"index": id if index is None else index, "split": split},
    }


@pytest.fixture
def make_row() -> Callable[..., dict[str, Any]]:
    """Makes one row of a data set; each argument replaces a good value."""
    return _make_row


def _write_parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    import pyarrow
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), path)
    return path


@pytest.fixture
def write_parquet() -> Callable[[Path, Sequence[Mapping[str, Any]]], Path]:
    """Writes rows to a parquet file and returns its path."""
    return _write_parquet


@dataclass
class Reply:
    """What the judge server answers to one request.

    Attributes:
        text: The judge's text, for status 200.
        status: The HTTP status.
        headers: Additional headers.
        body: The raw body in place of a chat completion or an error object.
        hang: Whether to read the request and never answer.
        delay_s: Seconds before it is answered.
    """

    text: str = "[[A]]"
    status: int = 200
    headers: Mapping[str, str] | None = None
    body: str | None = None
    hang: bool = False
    delay_s: float = 0.0

    def content(self) -> str:
        if self.body is not None:
            return self.body
        if self.status != 200:
            return json.dumps({"error": {"message": f"status {self.status}", "type": "test"}})
        message = {"role": "assistant", "content": self.text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return json.dumps(
            {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        )


class _Server(ThreadingHTTPServer):
    request_queue_size = 256  # connections that come at the same moment


class JudgeServer:
    """An OpenAI-compatible endpoint on the loopback interface that answers as it is told.

    Attributes:
        url: What `OPENAI_BASE_URL` names.
        replies: The answers to the requests in their order; the last one is repeated.
        choose: Instead of `replies`, the answer to the request of a number, from 1.
        requests: The bodies of the requests that came in.
        keys: Their `Authorization` headers.
        headers: All their headers.
        connections: How many connections were opened.
        times: When each of them came in, by a monotonic clock.
    """

    def __init__(self) -> None:
        self.replies = [Reply()]
        self.choose: Callable[[int], Reply] = lambda number: self.replies[min(number, len(self.replies)) - 1]
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.headers: list[Mapping[str, str]] = []
        self.connections = 0
        self.times: list[float] = []
        self._released = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Lets hanging requests go and stops."""
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        import time

        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # connections are kept
            disable_nagle_algorithm = True  # an answer is not held back for 40 ms

            def setup(self) -> None:
                super().setup()
                server.connections += 1

            def do_POST(self) -> None:
                server.times.append(time.monotonic())
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with server._lock:
                    server.requests.append(json.loads(body))
                    number = len(server.requests)
                server.keys.append(self.headers.get("Authorization"))
                server.headers.append(dict(self.headers))
                reply = server.choose(number)
                if reply.hang:
                    server._released.wait()
                    self.close_connection = True
                    return
                time.sleep(reply.delay_s)
                content = reply.content().encode()
                self.send_response(reply.status)
                headers = {"Content-Type": "application/json", **(reply.headers or {})}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                """Tests are quiet."""

        return Handler


@pytest.fixture
def judge_server() -> Iterator[JudgeServer]:
    """A running `JudgeServer`."""
    server = JudgeServer()
    yield server
    server.close()


@pytest.fixture
def reply() -> type[Reply]:
    """The class of a `JudgeServer`'s answers."""
    return Reply


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def run_cli() -> Callable[..., Done]:
    """Runs `writing-rl` in this process."""

    def run(*words: object) -> Done:
        done = writing_rl(*words)
        return Done(done.returncode, done.stdout, done.stderr.removesuffix("\n"))

    return run
