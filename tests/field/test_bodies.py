"""Bodies that are too long, never end, or inflate: memory and time are bounded, and no verdict is taken."""

from __future__ import annotations

import gzip
import itertools
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import pytest

from tests.field.asking import KEY, MakeChat, ask, settings
from tests.field.endpoints import FieldServer, Response, dashscope_message, message
from writing_rl.errors import Transient, Unscored
from writing_rl.judging.providers import http

#: Bytes of Python's memory in which one request has to do; its answer may have 4 MiB.
MOST_MEMORY = 48 << 20
#: Bytes that a server can send before its connection is closed; buffers of the system hold some MiB.
MOST_SENT = 32 << 20

WHOLE = message().body | dashscope_message().body
JSON = json.dumps(WHOLE).encode()
#: An answer that would be a verdict, and inflates to 300 MB.
BOMB_TAIL = b" " * (1 << 20)
HEAD = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\n"


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """Fails a test in which a request takes more than is bounded."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MOST_MEMORY


def bomb(compressor: Any) -> bytes:
    """A verdict followed by 300 MB of spaces."""
    parts = [compressor.compress(JSON), *(compressor.compress(BOMB_TAIL) for _ in range(300))]
    return b"".join([*parts, compressor.flush()])


def encoded(body: bytes, *encodings: str, status: int = 200) -> Response:
    return Response(status, body, {"Content-Encoding": ", ".join(encodings)})


class Endless:
    """A response that sends a part again and again.

    Attributes:
        sent: How many bytes of it went out.
    """

    def __init__(self, head: bytes, part: bytes, pause_s: float = 0.0, most: int = 1 << 30) -> None:
        self.sent = 0
        self._head, self._part, self._pause_s, self._most = head, part, pause_s, most

    def __call__(self, out: BinaryIO) -> None:
        out.write(self._head)
        while self.sent < self._most:
            out.write(self._part)
            out.flush()
            self.sent += len(self._part)
            time.sleep(self._pause_s)


def endless_headers(out: BinaryIO) -> None:
    out.write(HEAD % 200)
    for number in itertools.count():
        out.write(b"X-%d: %s\r\n" % (number, b"x" * 1000))


CHUNK = b"10000\r\n%s\r\n" % (b" " * 0x10000)
#: What is sent after the headers: heads and parts without end.
ENDLESS = {
    "chunks": (b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(JSON), JSON), CHUNK),
    "no length": (b"Connection: close\r\n\r\n" + JSON, b" " * 0x10000),
    "3 GB": (b"Content-Length: 3000000000\r\n\r\n" + JSON, b" " * 0x10000),
    "gzip": (b"Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n", CHUNK),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_body_without_end_is_no_answer(field_server: FieldServer, sdk: MakeChat, kind: str) -> None:
    head, part = ENDLESS[kind]
    endless = Endless(HEAD % 200 + head, part)
    field_server.behaviours["m"] = lambda _: Response(raw=endless)
    with pytest.raises(Unscored) as caught:
        ask(sdk(field_server.origin, settings()))
    assert caught.value.reason in ("malformed", "connection")
    assert endless.sent < MOST_SENT


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("kind", ["chunks", "no length", "3 GB"])
def test_the_status_of_an_error_counts_also_if_its_body_has_no_end(
    field_server: FieldServer, sdk: MakeChat, kind: str, status: int
) -> None:
    head, part = ENDLESS[kind]
    endless = Endless(HEAD % status + head, part)
    field_server.behaviours["m"] = lambda _: Response(raw=endless)
    with pytest.raises(Transient) as caught:
        ask(sdk(field_server.origin, settings()))
    assert caught.value.reason == f"http_{status}"
    assert endless.sent < MOST_SENT


def test_a_chunk_extension_without_end_takes_no_memory(field_server: FieldServer, sdk: MakeChat) -> None:
    endless = Endless(HEAD % 200 + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 0x10000, most=256 << 20)
    field_server.behaviours["m"] = lambda _: Response(raw=endless)
    with pytest.raises(Unscored):
        ask(sdk(field_server.origin, settings()))


def test_headers_without_end_are_given_up(field_server: FieldServer, sdk: MakeChat) -> None:
    field_server.behaviours["m"] = lambda _: Response(raw=endless_headers)
    with pytest.raises(Unscored):
        ask(sdk(field_server.origin, settings()))


def test_a_header_without_end_is_given_up(field_server: FieldServer, sdk: MakeChat) -> None:
    endless = Endless(HEAD % 200 + b"X: ", b"x" * 0x10000)
    field_server.behaviours["m"] = lambda _: Response(raw=endless)
    with pytest.raises(Unscored):
        ask(sdk(field_server.origin, settings()))
    assert endless.sent < MOST_SENT


@pytest.mark.parametrize(
    "compressor",
    [
        lambda: zlib.compressobj(wbits=31),
        lambda: zlib.compressobj(wbits=15),
        lambda: zlib.compressobj(wbits=-15),
    ],
    ids=["gzip", "zlib", "deflate"],
)
def test_what_inflates_to_much_is_no_answer(
    field_server: FieldServer, sdk: MakeChat, compressor: Callable[[], Any], request: pytest.FixtureRequest
) -> None:
    body = bomb(compressor())
    assert len(body) < 1 << 20
    encoding = "gzip" if "gzip" in request.node.callspec.id else "deflate"
    field_server.behaviours["m"] = lambda _: encoded(body, encoding)
    with pytest.raises(Unscored) as caught:
        ask(sdk(field_server.origin, settings()))
    assert caught.value.reason == "malformed"
    assert "4 MiB" in caught.value.detail


@pytest.mark.parametrize(
    "encodings", [("gzip", "gzip"), ("br",), ("zstd",), ("compress",), ("x\x1b[2J",), ("identity", "gzip")]
)
def test_an_encoding_that_was_not_asked_for_is_no_answer(
    field_server: FieldServer, sdk: MakeChat, encodings: tuple[str, ...]
) -> None:
    field_server.behaviours["m"] = lambda _: encoded(gzip.compress(gzip.compress(JSON)), *encodings)
    with pytest.raises(Unscored) as caught:
        ask(sdk(field_server.origin, settings()))
    assert not isinstance(caught.value, Transient) or caught.value.reason == "connection"
    assert "\x1b" not in caught.value.detail


def test_an_error_s_status_counts_also_if_its_body_inflates(field_server: FieldServer, sdk: MakeChat) -> None:
    body = bomb(zlib.compressobj(wbits=31))
    field_server.behaviours["m"] = lambda _: encoded(body, "gzip", status=503)
    with pytest.raises(Transient) as caught:
        ask(sdk(field_server.origin, settings()))
    assert caught.value.reason == "http_503"


@pytest.mark.parametrize(
    ("encoding", "wbits"), [("gzip", 31), ("x-gzip", 31), ("GZIP", 31), ("deflate", 15), ("deflate", -15)]
)
def test_a_short_compressed_answer_is_read(
    field_server: FieldServer, sdk: MakeChat, encoding: str, wbits: int
) -> None:
    compressor = zlib.compressobj(wbits=wbits)
    body = compressor.compress(JSON) + compressor.flush()
    field_server.behaviours["m"] = lambda _: encoded(body, encoding)
    assert ask(sdk(field_server.origin, settings())).text == "Both are short.\n[[A]]"
    assert field_server.requests[0].headers["accept-encoding"] == "identity"


def test_half_a_compressed_answer_is_none(field_server: FieldServer, sdk: MakeChat) -> None:
    field_server.behaviours["m"] = lambda _: encoded(gzip.compress(JSON)[:-9], "gzip")
    with pytest.raises(Unscored, match="garbled"):
        ask(sdk(field_server.origin, settings()))


def test_a_long_answer_is_read(field_server: FieldServer, sdk: MakeChat) -> None:
    text = "海" * 300_000
    whole = message(text).body | dashscope_message(text).body
    field_server.behaviours["m"] = lambda _: Response(body=json.dumps(whole, ensure_ascii=False))
    assert ask(sdk(field_server.origin, settings())).text == text


@pytest.mark.parametrize("text", ["[" * 200_000, '{"choices":' * 100_000, "[[],[]," * 500_000])
def test_what_is_nested_deeply_is_no_answer(field_server: FieldServer, sdk: MakeChat, text: str) -> None:
    field_server.behaviours["m"] = lambda _: Response(body=text)
    with pytest.raises(Unscored) as caught:
        ask(sdk(field_server.origin, settings()))
    assert caught.value.reason == "malformed"


@pytest.mark.parametrize("head", [b"Content-Length: 100000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
def test_one_byte_after_the_other_ends_with_the_time_of_a_request(
    field_server: FieldServer, sdk: MakeChat, head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "SLACK_S", 0.0)
    drip = Endless(HEAD % 200 + head, b" " if b"Length" in head else b"1\r\n \r\n", pause_s=0.05)
    field_server.behaviours["m"] = lambda _: Response(raw=drip)
    with pytest.raises(Transient) as caught:
        ask(sdk(field_server.origin, settings(request_timeout_s=1.0)))
    assert caught.value.reason == "timeout"


def test_chunks_of_a_byte_end_with_the_time_of_a_request(
    field_server: FieldServer, sdk: MakeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "SLACK_S", 0.0)
    endless = Endless(HEAD % 200 + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 4096)
    field_server.behaviours["m"] = lambda _: Response(raw=endless)
    with pytest.raises(Unscored):
        ask(sdk(field_server.origin, settings(request_timeout_s=2.0)))


def test_responses_that_say_to_go_on_end_with_the_time_of_a_request(
    field_server: FieldServer, sdk: MakeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "SLACK_S", 0.0)
    endless = Endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n", pause_s=0.01)
    field_server.behaviours["m"] = lambda _: Response(raw=endless)
    with pytest.raises(Unscored):
        ask(sdk(field_server.origin, settings(request_timeout_s=1.0)))


def test_a_key_that_an_endpoint_repeats_is_hidden(field_server: FieldServer, sdk: MakeChat) -> None:
    text = f"The key is {KEY}, or {KEY[:-1]}.\n[[A]]"
    field_server.behaviours["m"] = lambda _: Response(body=message(text).body | dashscope_message(text).body)
    assert ask(sdk(field_server.origin, settings())).text == "The key is (hidden), or (hidden).\n[[A]]"
