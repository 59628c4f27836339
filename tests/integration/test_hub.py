"""Fetching a model, from a hub on the loopback interface that answers what huggingface_hub 1.33 asks."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b'{"model_type": "qwen2"}',
    "model.safetensors": bytes(range(256)) * 100_000,  # more than the 10 MB that are written at once
    "pytorch_model.bin": b"not wanted beside safetensors",
}


class Hub:
    """A hub with one model.

    Attributes:
        url: What `HF_ENDPOINT` names.
        refusal: Status and headers of every answer, instead of an answer.
        cut_at: Bytes after which a download is cut off.
        files: What it holds.
        is_a_hub: Whether its files have the headers of a hub.
        downloads: Path and `Range` of each download that was asked for.
    """

    def __init__(self) -> None:
        self.refusal: tuple[int, Mapping[str, str]] | None = None
        self.cut_at: int | None = None
        self.files = dict(FILES)
        self.is_a_hub = True
        self.downloads: list[tuple[str, str | None]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if hub.refusal is not None:
                    return self.answer(hub.refusal[0], b"", hub.refusal[1])
                path = self.path.partition("?")[0]
                if path.startswith("/api/models/org/model/tree/"):
                    return self.answer_json(
                        [
                            {"type": "file", "path": name, "size": len(data), "oid": "0" * 40}
                            for name, data in hub.files.items()
                        ]
                    )
                if path.startswith("/api/models/org/model"):
                    siblings = [{"rfilename": name, "size": len(data)} for name, data in hub.files.items()]
                    return self.answer_json({"id": "org/model", "sha": COMMIT, "siblings": siblings})
                name = path.rpartition("/")[2]
                if not path.startswith("/org/model/resolve/") or name not in hub.files:
                    return self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
                return self.answer_file(name, hub.files[name])

            do_HEAD = do_GET

            def answer_file(self, name: str, data: bytes) -> None:
                headers = {
                    **({"X-Repo-Commit": COMMIT} if hub.is_a_hub else {}),
                    "ETag": f'"{hashlib.sha256(data).hexdigest()}"',
                    "Accept-Ranges": "bytes",
                }
                wanted = self.headers.get("Range")
                if self.command == "GET":
                    hub.downloads.append((name, wanted))
                begin = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
                if begin:
                    headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
                self.answer(206 if begin else 200, data[begin:], headers)

            def answer_json(self, content: Any) -> None:
                self.answer(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

            def answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "HEAD":
                    return
                if hub.cut_at is not None and len(body) > hub.cut_at:
                    self.wfile.write(body[: hub.cut_at])
                    self.close_connection = True
                else:
                    self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Tests are quiet."""

        return Handler


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    yield server
    server.close()


@pytest.fixture
def fetch(hub: Hub, tmp_path: Path) -> Callable[..., tuple[bool, str]]:
    """Fetches the model in a process of its own; returns whether that went well, and what was said last."""

    def fetch(name: str = "org/model", before: str = "", **variables: str) -> tuple[bool, str]:
        code = (
            "from writing_rl.errors import UserError\n"
            "from writing_rl.models.hub import local_model\n"
            f"{before}\n"
            "try:\n"
            f"    print(local_model({name!r}, 'BASE_MODEL'))\n"
            "except UserError as error:\n"
            "    raise SystemExit(f'Error: {error}')\n"
        )
        environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), **variables}
        environment.pop("HF_HUB_OFFLINE", None) if "HF_HUB_OFFLINE" not in variables else None
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        said = done.stdout if done.returncode == 0 else done.stderr
        assert "Traceback" not in done.stderr
        return done.returncode == 0, said.splitlines()[-1]

    return fetch


def test_a_model_is_fetched_once_and_without_what_is_not_read(hub: Hub, fetch: Any) -> None:
    fine, folder = fetch()
    assert fine
    assert {path.name for path in Path(folder).iterdir()} == {"config.json", "model.safetensors"}
    assert (Path(folder) / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    hub.downloads.clear()
    assert fetch() == (True, folder)
    assert hub.downloads == []


def test_a_connection_that_is_cut_goes_on_where_it_was(hub: Hub, fetch: Any) -> None:
    hub.cut_at = 15_000_000
    fine, folder = fetch()
    assert fine
    assert (Path(folder) / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    begins = [wanted for name, wanted in hub.downloads if name == "model.safetensors"]
    assert begins[0] is None
    assert all(
        int(wanted.removeprefix("bytes=").partition("-")[0]) >= 10_000_000 for wanted in begins[1:] if wanted
    )
    assert len(begins) > 1


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "GatedRepo", "gated"),
        (401, "RepoNotFound", "neither a folder nor a model at"),
        (404, "RepoNotFound", "neither a folder nor a model at"),
    ],
)
def test_a_model_that_may_not_be_read_is_one_line(
    hub: Hub, fetch: Any, status: int, code: str, said: str
) -> None:
    hub.refusal = (status, {"X-Error-Code": code})
    fine, line = fetch()
    assert not fine
    assert line.startswith("Error: BASE_MODEL is org/model, which is ")
    assert said in line
    assert "HF_TOKEN" in line


def test_a_disk_that_is_too_small_is_said_before_anything_is_fetched(hub: Hub, fetch: Any) -> None:
    small = "import shutil; shutil.disk_usage = lambda _: shutil._ntuple_diskusage(9, 9, 0)"
    fine, line = fetch(before=small)
    assert not fine
    assert line.startswith("Error: org/model takes 0.0 GB, and ")
    assert hub.downloads == []


def test_a_name_that_is_no_model_is_one_line(fetch: Any) -> None:
    assert fetch("no such/model/at all")[1].startswith("Error: BASE_MODEL is no such/model/at all, which is ")


def test_a_repository_without_a_model_is_one_line(hub: Hub, fetch: Any) -> None:
    hub.files = {"README.md": b"words"}
    assert "which holds no model on the hub" in fetch()[1]


def test_a_hub_that_cannot_be_reached_is_not_needed_twice(hub: Hub, fetch: Any) -> None:
    nobody = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    fine, line = fetch(**nobody)
    assert not fine
    assert "cannot be reached" in line
    assert "HTTPS_PROXY" in line
    _, folder = fetch()
    assert fetch(**nobody) == (True, folder)
    assert fetch(HF_HUB_OFFLINE="1", **nobody) == (True, folder)


#: Ends the process when it comes to the weights, and the rest has been fetched.
KILLED_AT_THE_WEIGHTS = """
import os, sys, time
from pathlib import Path
import huggingface_hub.file_download as download
real = download.http_get
def get(url, *arguments, **options):
    if "safetensors" in url:
        while not list(Path(os.environ["HF_HOME"]).rglob("config.json")):
            time.sleep(0.01)
        print("killed", file=sys.stderr, flush=True)
        os._exit(9)
    return real(url, *arguments, **options)
download.http_get = get
"""


def test_after_a_kill_only_the_rest_is_fetched(hub: Hub, fetch: Any) -> None:
    assert fetch(before=KILLED_AT_THE_WEIGHTS) == (False, "killed")
    assert [name for name, _ in hub.downloads] == ["config.json"]
    fine, folder = fetch()
    assert fine
    assert (Path(folder) / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert [name for name, _ in hub.downloads] == ["config.json", "model.safetensors"]


def test_a_part_of_a_model_is_no_copy(fetch: Any) -> None:
    fetch(before=KILLED_AT_THE_WEIGHTS)
    fine, line = fetch(HF_ENDPOINT="http://127.0.0.1:9")
    assert not fine
    assert "cannot be reached" in line
    fine, line = fetch(HF_HUB_OFFLINE="1")
    assert not fine
    assert "of which only a part was fetched before, and HF_HUB_OFFLINE forbids asking the hub" in line


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_that_fails_is_not_needed_for_what_was_fetched(hub: Hub, fetch: Any, status: int) -> None:
    hub.refusal = (status, {})
    fine, line = fetch()
    assert not fine
    assert "cannot be reached (" in line
    assert str(status) in line
    hub.refusal = None
    _, folder = fetch()
    hub.refusal = (status, {})
    assert fetch() == (True, folder)


@pytest.mark.parametrize(
    "variables",
    [
        {"HF_ENDPOINT": "no address"},
        {"HF_ENDPOINT": "http://127.0.0.1:port"},
        {"HTTP_PROXY": "socks9://127.0.0.1:9", "NO_PROXY": ""},
        {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""},
    ],
)
def test_addresses_that_lead_nowhere_are_one_line(fetch: Any, variables: dict[str, str]) -> None:
    fine, line = fetch(**variables)
    assert not fine
    assert line.startswith("Error: BASE_MODEL is org/model, and the hub at ")
    assert "HTTPS_PROXY to your proxy" in line


def test_certificates_that_are_not_there_are_named(fetch: Any) -> None:
    fine, line = fetch(SSL_CERT_FILE="/nonexistent.pem")
    assert not fine
    assert line.startswith("Error: SSL_CERT_FILE is /nonexistent.pem: No such file")


def test_an_address_may_end_with_a_slash(hub: Hub, fetch: Any) -> None:
    assert fetch(HF_ENDPOINT=f"{hub.url}/")[0]


def test_a_server_that_is_no_hub_is_one_line(hub: Hub, fetch: Any) -> None:
    hub.is_a_hub = False
    fine, line = fetch()
    assert not fine
    assert "X-Repo-Commit" in line


def test_a_cache_that_cannot_be_written_is_one_line(fetch: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    fine, line = fetch(HF_HOME=str(tmp_path / "file" / "hf"))
    assert not fine
    assert line.startswith(
        "Error: org/model cannot be fetched: Not a directory: free some disk, or set HF_HOME"
    )


# Folders


def test_a_folder_is_taken_where_it_is(fetch: Any, tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    assert fetch(str(tmp_path), HF_ENDPOINT="http://127.0.0.1:9") == (True, str(tmp_path))
    assert fetch("~", HOME=str(tmp_path), HF_ENDPOINT="http://127.0.0.1:9") == (True, str(tmp_path))


@pytest.mark.parametrize("name", ["/no/such/folder", "./none", "../none", "~no_such_user/model", "~/none"])
def test_a_path_without_a_checkpoint_is_one_line_and_asks_nobody(hub: Hub, fetch: Any, name: str) -> None:
    hub.refusal = (500, {})
    assert fetch(name) == (
        False,
        f"Error: BASE_MODEL is {name}, which holds no Hugging Face checkpoint (no config.json)",
    )


def test_offline_without_a_copy_is_one_line(fetch: Any) -> None:
    fine, line = fetch(HF_HUB_OFFLINE="1")
    assert not fine
    assert "HF_HUB_OFFLINE forbids asking the hub" in line
