"""Endpoints as they are sold, on the loopback interface: what each answers goes by the model that is asked.

The next report is one row more: a function under `@endpoint("name of the model")`.
"""

from __future__ import annotations

import json
import ssl
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
        port: Its port.
        requests: What came in, in its order.
        behaviours: Rows that count before `ENDPOINTS`, for one test.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.behaviours: dict[str, Behaviour] = {}
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._gone = False
        self._back: threading.Timer | None = None
        self._tls = tls
        self._open(0)
        self.port: int = self._server.server_port
        self.origin = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.url = f"{self.origin}/v1"

    def close(self) -> None:
        """Stops."""
        if self._back is not None:
            self._back.cancel()
            self._back.join()
        if not self._gone:
            self._close()

    def answer(self, model: str, request: Request) -> Response:
        """What a model of `ENDPOINTS` answers to a request of another name."""
        return ENDPOINTS[model](request)

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
        if self._tls:
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
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


def answered(request: Request, content: Any = "Both are short.\n[[A]]", **more: Any) -> Response:
    """A whole answer in the form of the API that was asked."""
    return (dashscope_message if "input" in request.body else message)(content, **more)


def parameters_of(request: Request) -> Mapping[str, Any]:
    """The parameters of a request, of OpenAI's and of DashScope's form."""
    return request.body.get("parameters", request.body)


@endpoint("gpt-5-mini")
def _openai_reasoning(request: Request) -> Response:
    if "max_tokens" in request.body:
        return error(
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            type="invalid_request_error",
            param="max_tokens",
            code="unsupported_parameter",
        )
    if request.body.get("temperature", 1) != 1:
        return error(
            400,
            "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) "
            "value is supported.",
            type="invalid_request_error",
            param="temperature",
            code="unsupported_value",
        )
    return message()


@endpoint("claude-opus-4-7")
def _claude(request: Request) -> Response:
    if "temperature" in request.body:
        return error(400, "`temperature` is deprecated for this model.", type="invalid_request_error")
    return message()


@endpoint("qwen3-32b")
def _open_hybrid(request: Request) -> Response:
    if parameters_of(request).get("enable_thinking", True):
        text = "parameter.enable_thinking must be set to false for non-streaming calls"
        if "input" in request.body:
            return Response(400, {"code": "InvalidParameter", "message": text, "request_id": "1"})
        return error(400, text, code="invalid_parameter_error")
    return answered(request)


@endpoint("qwen3-235b-a22b-thinking-2507")
def _only_thinks(request: Request) -> Response:
    if parameters_of(request).get("enable_thinking") is False:
        return error(400, "The value of the enable_thinking parameter is restricted to True.")
    return answered(request)


@endpoint("strict-gateway")
def _pydantic(request: Request) -> Response:
    known = {"model", "messages", "max_completion_tokens"}
    detail = [
        {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}
        for name in request.body
        if name not in known
    ]
    return Response(422, {"detail": detail}) if detail else message()


@endpoint("short-answers")
def _small_limit(request: Request) -> Response:
    if parameters_of(request).get("max_tokens", 0) > 1024:
        return error(400, "Range of max_tokens should be [1, 1024]", code="invalid_parameter_error")
    return answered(request)


@endpoint("qwen3.5-plus")
def _url_error(request: Request) -> Response:
    if "input" in request.body:
        text = "url error, please check url！"
        return Response(400, {"code": "InvalidParameter", "message": text, "request_id": "1"})
    return message()


@endpoint("azure-deployment")
def _azure_classic(request: Request) -> Response:
    if request.path != "/openai/deployments/judge/chat/completions?api-version=2024-10-21":
        return error(404, "Resource not found", code="404")
    if not request.headers.get("api-key") or "authorization" in request.headers:
        return error(401, "Access denied due to invalid subscription key", code="401")
    return message()


@endpoint("azure-v1")
def _azure_v1(request: Request) -> Response:
    return message() if request.path == "/openai/v1/chat/completions" else error(404, "Resource not found")


@endpoint("thinks-too-long")
def _cut_off(request: Request) -> Response:
    limit = request.body["max_tokens"]
    if limit >= 8192:
        return message()
    response = message(finish="length")
    del response.body["choices"][0]["message"]["content"]
    response.body["usage"] = {
        "prompt_tokens": 900,
        "completion_tokens": limit,
        "total_tokens": 900 + limit,
        "completion_tokens_details": {"reasoning_tokens": limit},
    }
    return response


@endpoint("wrong-reasoning-parser")
def _swallows(request: Request) -> Response:
    return message(None, reasoning_content="Text A is better.\n[[A]]")


@endpoint("parts")
def _parts(request: Request) -> Response:
    thinking = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "maybe [[B]]"}]}
    return answered(request, [thinking, {"type": "text", "text": "Text A.\n[[A]]"}])


@endpoint("moderated")
def _moderated(request: Request) -> Response:
    if "blood" in request.text:
        return error(
            403,
            'openai/x requires moderation. Your input was flagged for "violence". No credits were charged.',
            code=403,
            metadata={"reasons": ["violence"], "flagged_input": "blood"},
        )
    return answered(request)


@endpoint("behind-a-firewall")
def _firewall(request: Request) -> Response:
    if "blood" in request.text:
        page = "<html><head><title>Attention Required! | Cloudflare</title></head><body>Blocked</body></html>"
        return Response(403, page, {"Content-Type": "text/html"})
    return answered(request)


@endpoint("blames-the-text-in-its-own-words")
def _unknown_words(request: Request) -> Response:
    return error(403, "Nope.") if "blood" in request.text else answered(request)


@endpoint("every-tenth-401")
def _hiccup(request: Request) -> Response:
    return error(401, "Unauthorized") if request.number % 10 == 1 else answered(request)


@endpoint("wrong-key")
def _wrong_key(request: Request) -> Response:
    return error(401, "You must be a member of the organization acme", code="mismatched_organization")


@endpoint("no-credit")
def _no_credit(request: Request) -> Response:
    return error(402, "Insufficient Balance: top up at console/top_up", code="invalid_request_error")


@endpoint("free-tier-only")
def _free_tier(request: Request) -> Response:
    text = 'The free tier of the model has been exhausted. Disable "use free tier only" in the console.'
    return Response(403, {"code": "AllocationQuota.FreeTierOnly", "message": text, "request_id": "1"})


@endpoint("data-policy")
def _data_policy(request: Request) -> Response:
    return error(404, "No endpoints found matching your data policy. Configure: /settings/privacy", code=404)


@endpoint("error-in-200")
def _error_in_200(request: Request) -> Response:
    if request.number == 1:
        return Response(body={"error": {"message": "Provider returned error", "code": 504}})
    if request.number == 2:
        return Response(body={"choices": []})
    return Response(body="") if request.number == 3 else message()


@endpoint("odd-retry-after")
def _odd_retry_after(request: Request) -> Response:
    odd = ("01 Jan 99999999999999999999", "1e400", "nan", "-5", "Fri, 31 Dec 9999 23:59:59 GMT", "\u00b2")
    if request.number <= len(odd):
        return Response(429, {"error": {"message": "busy"}}, {"Retry-After": odd[request.number - 1]})
    return answered(request)


@endpoint("garbled-http")
def _garbled(request: Request) -> Response:
    garbage = (
        b"HTP/9 \xff\xfe\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{",
        b"\0" * 200,
        b"",
    )
    if request.number <= len(garbage):
        sent = garbage[request.number - 1]
        return Response(raw=lambda file: file.write(sent) and None)
    return answered(request)
