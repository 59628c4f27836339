"""HTTP as the clients of all providers use it: bounded bodies, no redirects, the proxy of the environment.

A provider is not trusted: what it sends takes bounded memory and time, whatever its headers say.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import socket
import zlib
from dataclasses import dataclass, field

import aiohttp
import httpx2
from multidict import CIMultiDict
from yarl import URL

from writing_rl.errors import JudgeError, MayBeFinal, Transient, Unreached, Unscored, WritingRLError
from writing_rl.judging.client.request_queue import TIMEOUT
from writing_rl.judging.providers.failures import presentable
from writing_rl.judging.providers.routes import WITHOUT, Proxy, proxy_of, trusted_certificates
from writing_rl.util.redact import hide_key_in_bytes, printable

#: Bytes of the longest answer that is read, decompressed; no verdict or story comes near it.
LONGEST_BODY = 4 << 20
#: Bytes that are read of an error; the rest is left unread.
LONGEST_ERROR = 64 << 10
#: Seconds for a connection: an address where nobody is fails soon.
CONNECT_TIMEOUT_S = 10.0
#: Seconds after which an idle connection is closed.
IDLE_S = 60.0
#: Seconds that a request is given beyond the time after which `Channel` gives it up.
SLACK_S = 10.0

_PROXY_LOGIN = 407


class Connections:
    """The connections to one endpoint. All failures below an HTTP status are the project's exceptions.

    Attributes:
        through: ` through the proxy of VARIABLE` for messages, or empty.
    """

    def __init__(
        self,
        address: str,
        judge: str,
        key: str,
        *,
        timeout_s: float,
        own_server: bool = False,
        then: aiohttp.ClientMiddlewareType | None = None,
    ) -> None:
        """Connects to nothing yet.

        Args:
            address: The endpoint, checked.
            judge: What messages call it.
            key: Its key, which is no part of any message.
            timeout_s: Seconds after which `Channel` gives a request up.
            own_server: Whether this project or verl has started the server: no proxy stands before it.
            then: Gets each response, which is read by then, in place of whoever asked.

        Raises:
            SettingError: A proxy or certificates of the environment cannot be used.
        """
        self._judge = judge
        self._key = key
        self._proxy = None if own_server else proxy_of(address)
        self._secrets = (key, *(self._proxy.login or ("",))[1:]) if self._proxy else (key,)
        self._reached = self._answered = False
        self._then = then
        encrypted = address.startswith("https") or (self._proxy and self._proxy.address.startswith("https"))
        self._ssl = trusted_certificates() if encrypted else False
        self._timeout = aiohttp.ClientTimeout(total=timeout_s + SLACK_S, sock_connect=CONNECT_TIMEOUT_S)
        self._kept: _Kept | None = None
        self.through = f" through the proxy of {self._proxy.variable}" if self._proxy else ""

    def session(self) -> aiohttp.ClientSession:
        """The session of the running event loop. Its responses are read already when they are returned."""
        loop = asyncio.get_running_loop()
        if self._kept is None or self._kept.loop is not loop:
            proxy = self._proxy
            self._kept = kept = _Kept(loop)
            guard = functools.partial(self._guard, kept)
            kept.session = aiohttp.ClientSession(
                # `Channel` limits the requests in flight.
                connector=aiohttp.TCPConnector(limit=0, ssl=self._ssl, keepalive_timeout=IDLE_S),
                middlewares=(guard,) if self._then is None else (self._then, guard),
                response_class=_Response,
                timeout=self._timeout,
                trust_env=False,  # the same variables for all clients, and never ~/.netrc
                auto_decompress=False,
                headers={"Accept-Encoding": "identity"},
                cookie_jar=aiohttp.DummyCookieJar(),
                proxy=_with_login(proxy) if proxy else None,
            )
        return self._kept.session

    async def close(self) -> None:
        """Closes all connections; a later request opens new ones."""
        kept, self._kept = self._kept, None
        if kept is not None:
            await kept.session.close()

    async def _guard(
        self, kept: _Kept, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Sends a request, once, and reads its response.

        Where a connection is cut, the idle ones beside it may be as well, and would cost a question one retry
        each: the next request opens a connection of its own.
        """
        kept.in_flight += 1
        try:
            return await self._exchange(request, handler)
        except Cut:
            if self._kept is kept:
                self._kept = None
            raise
        finally:
            kept.in_flight -= 1
            if self._kept is not kept and not kept.in_flight:
                await kept.session.close()

    async def _exchange(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        try:
            response = await handler(request)
            self._reached = True
            try:
                # What its `read` returns from now on. Nobody else sees a key that an endpoint repeats.
                response._body = self._without_secrets(await self._body_of(response), response.status)
            except BaseException:
                response.close()
                raise
            self._answered = self._answered or response.status < 300
        except aiohttp.ConnectionTimeoutError:
            raise Unreached("connection", f"no connection within {CONNECT_TIMEOUT_S:g} s") from None
        except asyncio.TimeoutError:
            raise Transient(TIMEOUT, "no answer within the time-out of a request") from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._failure(error) from None
        return response

    async def _body_of(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, decompressed; of an error, its beginning.

        Raises:
            WritingRLError: It is too long or garbled, or the response is a redirect.
        """
        if 300 <= response.status < 400:
            raise self._redirected(response)
        if response.status == _PROXY_LOGIN and self._proxy:
            raise self._refused_by_proxy(_PROXY_LOGIN)
        most = LONGEST_BODY if response.status < 400 else LONGEST_ERROR
        size, chunks = 0, []
        while chunk := await response.content.readany():
            size += len(chunk)
            chunks.append(chunk)
            if size > most:
                if response.status < 400:
                    raise _too_long()
                response.close()
                break
        body = b"".join(chunks)
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding in ("", "identity"):
            return body if size <= most else body[:most]
        try:
            return _inflated(body, encoding, most)
        except Unscored:
            if response.status < 400:
                raise
            return b""

    def _without_secrets(self, body: bytes, status: int) -> bytes:
        for secret in self._secrets:
            body = hide_key_in_bytes(body, secret, in_prose=status < 400)
        return body

    def _redirected(self, response: aiohttp.ClientResponse) -> WritingRLError:
        location = response.headers.get("Location", "")
        with contextlib.suppress(ValueError):  # relative, most likely
            location = str(response.url.join(URL(location)))
        address = re.split(r"[?#]", location, maxsplit=1)[0]
        final = JudgeError(
            f"model {self._judge} redirects to {presentable(address, self._key)} ({response.status}), and "
            "texts go to no address but the one that is set: set OPENAI_BASE_URL to it if that is right"
        )
        return MayBeFinal("redirect", final) if self._answered else final

    def _refused_by_proxy(self, status: int) -> WritingRLError:
        assert self._proxy
        what = f"the proxy of {self._proxy.variable} ({self._proxy.address})"
        if status == _PROXY_LOGIN:
            why = f"refuses user and password ({status}): set it to http://USER:PASSWORD@HOST:PORT"
        elif status < 500 and status not in (408, 429):
            why = f"does not let requests to the judge pass ({status})"
        else:
            return Unreached("connection", f"{what} answered {status}")
        return MayBeFinal("proxy", JudgeError(f"model {self._judge}: {what} {why}, {WITHOUT}"))

    def _failure(self, error: Exception) -> WritingRLError:
        """What a failure means that is no HTTP status of the endpoint."""
        proxy = self._proxy
        if proxy and isinstance(error, aiohttp.ClientHttpProxyError):
            return self._refused_by_proxy(error.status)
        if isinstance(error, aiohttp.ClientSSLError):
            return self._not_trusted(error)
        text = presentable(str(error), self._key)
        if isinstance(error, aiohttp.ClientConnectorError):
            if proxy:
                text = f"the proxy of {proxy.variable} ({proxy.address}) cannot be reached: {text}"
                if isinstance(error.os_error, socket.gaierror) and not self._reached:
                    final = JudgeError(f"model {self._judge}: {text}: check {proxy.variable}, {WITHOUT}")
                    return MayBeFinal("proxy", final)
            return Unreached("connection", text)
        return Cut("connection", text)

    def _not_trusted(self, error: aiohttp.ClientSSLError) -> WritingRLError:
        why = presentable(str(error), self._key)
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            remedy = "set SSL_CERT_FILE to the file with the certificate of your company or of its proxy"
        else:
            remedy = "check https:// in its address, and SSL_CERT_FILE"
        return MayBeFinal("certificate", JudgeError(f"model {self._judge}: {why}: {remedy}"))


class Cut(Transient):
    """A connection that was cut before its answer was whole."""


@dataclass(eq=False)
class _Kept:
    """A session, with the connections that it keeps.

    Attributes:
        loop: The event loop that they belong to.
        in_flight: How many requests use them now.
        session: The session.
    """

    loop: asyncio.AbstractEventLoop
    in_flight: int = 0
    session: aiohttp.ClientSession = field(init=False)


class _Response(aiohttp.ClientResponse):
    """A response whose body, once read, is there also when its connection has been closed."""

    async def read(self) -> bytes:
        """See `aiohttp.ClientResponse`."""
        return await super().read() if self._body is None else self._body


class Transport(httpx2.AsyncBaseTransport):
    """Sends the requests of a client that is built on httpx2, such as openai's."""

    def __init__(self, connections: Connections) -> None:
        """Connects to nothing yet."""
        self._connections = connections

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See `httpx2.AsyncBaseTransport`; the body is that which was read."""
        response = await self._connections.session().request(
            request.method,
            str(request.url),
            # httpx2's headers are slow to read, and aiohttp reads them more than once.
            headers=CIMultiDict((name.decode(), value.decode()) for name, value in request.headers.raw),
            data=request.content,
            allow_redirects=False,
        )
        headers = response.raw_headers
        if "Content-Encoding" in response.headers:
            headers = tuple(pair for pair in headers if pair[0].lower() != b"content-encoding")
        body = await response.read()
        return httpx2.Response(response.status, headers=headers, content=body, request=request)

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._connections.close()


def _with_login(proxy: Proxy) -> URL:
    """A proxy's address as aiohttp takes it."""
    address = URL(proxy.address)
    if proxy.login is None:
        return address
    # Sent as Latin-1, and meant as UTF-8, as curl sends it.
    user, password = (part.encode().decode("latin-1") for part in proxy.login)
    return address.with_user(user).with_password(password)


def _inflated(body: bytes, encoding: str, most: int) -> bytes:
    """A compressed body, which was not asked for.

    Raises:
        Unscored: It is garbled, or longer than `most` bytes.
    """
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise Unscored("malformed", f"the endpoint compresses answers unasked ({printable(encoding, 40)})")
    windows = (32 + zlib.MAX_WBITS, -zlib.MAX_WBITS) if encoding == "deflate" else (16 + zlib.MAX_WBITS,)
    for window in windows:
        inflater = zlib.decompressobj(window)
        try:
            text = inflater.decompress(body, most + 1)
        except zlib.error:
            continue
        if len(text) > most:
            raise _too_long()
        if inflater.eof:
            return text
    raise Unscored("malformed", "the endpoint's compressed answer is garbled")


def _too_long() -> Unscored:
    return Unscored("malformed", f"the endpoint's answer is longer than {LONGEST_BODY >> 20} MiB")
