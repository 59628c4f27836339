"""Endpoints as they are sold, on the loopback interface: what each answers goes by the model that is asked.

The next report is one row more: a function under `@endpoint("name of the model")`.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, BinaryIO


@dataclass(frozen=True)
class Request:
    """What came in.

    Attributes:
        body: The JSON object.
        headers: By their names in small letters.
        path: With the query.
        number: How many requests of this model there were by now, from 1.
    """

    body: dict[str, Any]
    headers: Mapping[str, str]
    path: str
    number: int

    @property
    def text(self) -> str:
        """All that the judge is told, of OpenAI's and of DashScope's form."""
        messages = self.body.get("messages") or self.body["input"]["messages"]
        return "\n".join(message["content"] for message in messages)


@dataclass(frozen=True)
class Response:
    """What goes out.

    Attributes:
        status: The HTTP status.
        body: JSON for an object, else as it is.
        headers: More of them.
        raw: Writes whatever it likes in place of an HTTP answer; the connection is closed after it.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: Callable[[BinaryIO], None] | None = None


Behaviour = Callable[[Request], Response]

#: By the name of the model.
ENDPOINTS: dict[str, Behaviour] = {}


def endpoint(model: str) -> Callable[[Behaviour], Behaviour]:
    """Adds a row to `ENDPOINTS`."""

    def add(behaviour: Behaviour) -> Behaviour:
        assert model not in ENDPOINTS
        ENDPOINTS[model] = behaviour
        return behaviour

    return add


def message(content: Any = "Both are short.\n[[A]]", *, finish: str = "stop", **more: Any) -> Response:
    """A chat completion; `more` are further fields of its message, `content=...` of any type goes through."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, **more},
        "finish_reason": finish,
    }
    return Response(
        body={"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    )


def dashscope_message(
    content: Any = "Both are short.\n[[A]]", *, finish: str = "stop", **more: Any
) -> Response:
    """What DashScope's own API answers."""
    choice = {"finish_reason": finish, "message": {"role": "assistant", "content": content, **more}}
    return Response(body={"output": {"choices": [choice]}, "usage": {}, "request_id": "1"})


def error(status: int, text: str = "", **fields: Any) -> Response:
    """An error in OpenAI's form; `fields` are further ones of it."""
    return Response(status, {"error": {"message": text, **fields}})


class FieldServer:
    """All endpoints of `ENDPOINTS` at one address.

    Attributes:
        url: What `OPENAI_BASE_URL` names.
        origin: The same without a path.
        requests: What came in, in its order.
        behaviours: Rows that count before `ENDPOINTS`, for one test.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.behaviours: dict[str, Behaviour] = {}
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._gone = False
        self._back: threading.Timer | None = None
        self._open(0)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.origin}/v1"

    def close(self) -> None:
        """Stops."""
        if self._back is not None:
            self._back.cancel()
            self._back.join()
        if not self._gone:
            self._close()

    def go_away(self, seconds: float) -> None:
        """Refuses connections for so long, and cuts those that are open. For use in a behaviour."""
        self._gone = True
        # In a thread of its own: a server cannot wait in one of its requests for its own end.
        threading.Thread(target=self._close, daemon=True).start()
        self._back = threading.Timer(seconds, self._open, [self._server.server_port])
        self._back.start()

    def _open(self, port: int) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self._gone = False

    def _close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                if server._gone:
                    self.close_connection = True
                    return
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                model = body["model"]
                with server._lock:
                    server._counts[model] += 1
                    request = Request(body, headers, self.path, server._counts[model])
                    server.requests.append(request)
                response = (server.behaviours.get(model) or ENDPOINTS[model])(request)
                if response.raw is not None:
                    self.close_connection = True
                    try:
                        response.raw(self.wfile)
                    except OSError:
                        return  # whoever asked has gone
                    return
                body = response.body
                content = (
                    body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else None
                )
                content = json.dumps(body).encode() if content is None else content
                self.send_response(response.status)
                headers = {"Content-Type": "application/json", "Content-Length": str(len(content))}
                for name, value in (headers | dict(response.headers)).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                """Tests are quiet."""

        return Handler
