"""Proxies and certificates of a company's network, as the environment names them."""

from __future__ import annotations

import urllib.error
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.field.asking import KEY, MakeChat, ask
from tests.field.company import Proxy, certificates
from tests.field.endpoints import FieldServer, Request, Response, dashscope_message, message
from writing_rl.errors import JudgeError, MayBeFinal, SettingError, Unreached
from writing_rl.judging.client.chat_model import Answer
from writing_rl.judging.providers import Served, make_chat
from writing_rl.judging.providers.http import Connections
from writing_rl.judging.providers.routes import is_exempt, proxy_of, trusted_certificates
from writing_rl.judging.settings import JudgeSettings
from writing_rl.trainer.watchdog import _check_health
from writing_rl.util import local_http

#: Percent-encoded, as it stands in an address.
LOGIN = "me:p%40ss%2Fw%C3%B6rd"
PASSWORD = "p@ss/wörd"
#: A host that only the proxy knows.
HOST = "judge.company.example"
#: A port where nobody is.
NOBODY = "http://127.0.0.1:9"

ANSWER = Response(body=message().body | dashscope_message().body)
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("OPENAI_API_KEY", "DASHSCOPE_API_KEY"):
        monkeypatch.setenv(name, KEY)
    for name in (*VARIABLES, *map(str.upper, VARIABLES), *CERTIFICATES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


class Company:
    """A judge that speaks TLS, and can be reached through a proxy alone."""

    def __init__(self, folder: Path) -> None:
        self.ca, tls = certificates(folder, HOST, "127.0.0.1")
        self.judge = FieldServer(tls)
        self.judge.behaviours["m"] = lambda _: ANSWER
        self.proxy = Proxy(self.judge.port, LOGIN)

    def close(self) -> None:
        self.proxy.close()
        self.judge.close()


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    company = Company(tmp_path / "ca")
    yield company
    company.close()


def failure(sdk: MakeChat, origin: str) -> str:
    """The line that a judge which cannot be used ends with."""
    try:
        answer: Answer = ask(sdk(origin))
    except MayBeFinal as error:
        line = str(error.final)
    except (JudgeError, SettingError, Unreached) as error:
        line = str(error)
    else:
        raise AssertionError(answer)
    assert line.isprintable()
    assert KEY not in line
    assert PASSWORD not in line
    assert LOGIN not in line
    return line


# --- the whole way


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("certificate", CERTIFICATES)
def test_a_judge_that_only_the_proxy_reaches_is_used(
    company: Company, sdk: MakeChat, variable: str, certificate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, company.proxy.url)
    monkeypatch.setenv(certificate, str(company.ca.parent if certificate.endswith("DIR") else company.ca))
    chat = sdk(f"https://{HOST}")
    assert variable in chat.description
    assert ask(chat).text == "Both are short.\n[[A]]"
    assert company.proxy.asked == [f"CONNECT {HOST}:443"]
    assert company.judge.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert "proxy-authorization" not in company.judge.requests[0].headers


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
def test_an_unencrypted_judge_is_asked_through_its_proxy(
    field_server: FieldServer, sdk: MakeChat, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    field_server.behaviours["m"] = lambda _: ANSWER
    proxy = Proxy(field_server.port, LOGIN)
    monkeypatch.setenv(variable, proxy.url)
    try:
        assert ask(sdk(f"http://{HOST}:8000")).text == "Both are short.\n[[A]]"
    finally:
        proxy.close()
    assert proxy.asked == [f"POST {HOST}:8000"]


def test_a_wrong_password_names_the_variable(
    company: Company, sdk: MakeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", company.proxy.url.replace("w%C3%B6rd", "WRONG"))
    monkeypatch.setenv("SSL_CERT_FILE", str(company.ca))
    line = failure(sdk, f"https://{HOST}")
    assert "HTTPS_PROXY" in line
    assert "407" in line
    assert "WRONG" not in line
    assert not company.judge.requests


def test_a_wrong_password_for_an_unencrypted_judge_names_the_variable(
    field_server: FieldServer, sdk: MakeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(field_server.port, LOGIN)
    monkeypatch.setenv("http_proxy", proxy.url.replace(LOGIN, "me:else"))
    try:
        line = failure(sdk, f"http://{HOST}")
    finally:
        proxy.close()
    assert "http_proxy" in line
    assert "407" in line


@pytest.mark.parametrize("status", [403, 502, 503])
def test_a_proxy_that_lets_nothing_pass_is_named(
    company: Company, sdk: MakeChat, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(company.judge.port, status=status)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    try:
        line = failure(sdk, f"https://{HOST}")
    finally:
        proxy.close()
    assert "HTTPS_PROXY" in line
    assert str(status) in line


@pytest.mark.parametrize("address", [NOBODY, "http://no-such-proxy.invalid:3128"])
def test_a_proxy_that_is_not_there_is_named(
    sdk: MakeChat, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address.replace("//", f"//{LOGIN}@"))
    line = failure(sdk, f"https://{HOST}")
    assert "HTTPS_PROXY" in line
    assert address in line


def test_a_certificate_that_nobody_trusts_names_the_variable(
    company: Company, sdk: MakeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", company.proxy.url)
    assert "SSL_CERT_FILE" in failure(sdk, f"https://{HOST}")
    assert "SSL_CERT_FILE" in failure(sdk, f"https://127.0.0.1:{company.judge.port}")
    assert not company.judge.requests


def test_a_certificate_for_another_host_is_not_taken(
    company: Company, sdk: MakeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", company.proxy.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(company.ca))
    assert "other.example" in failure(sdk, "https://other.example")
    assert not company.judge.requests


def test_https_where_there_is_none_is_said(field_server: FieldServer, sdk: MakeChat) -> None:
    assert "https://" in failure(sdk, field_server.origin.replace("http:", "https:"))


# --- what is no way


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("socks://127.0.0.1:7890/", "SOCKS"),
        ("socks5h://me:pa55@proxy:1080", "SOCKS"),
        ("proxy:3128", "http://"),
        ("me:pa55@proxy:3128", "http://"),
        ("ftp://proxy:3128", "http://"),
        ("http://proxy:3128\r", "Windows"),
        ("http://me%3Ax:pa55@proxy:3128", "colon"),
        ("http://", "no address"),
        ("http://proxy:port", "no address"),
        ("http://me:pa/55@proxy:3128", "%XX"),
        ("http://me:12/55@proxy:3128", "%XX"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_one_line(
    sdk: MakeChat, value: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(variable, value)
        with pytest.raises(SettingError, match=variable) as caught:
            sdk(f"https://{HOST}")
        line = str(caught.value)
        assert why in line
        assert line.isprintable()
        assert not any(secret in line for secret in ("55", "pa/", "me:"))


def test_another_variable_s_proxy_is_no_matter(sdk: MakeChat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:7890/")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert "through the proxy of HTTPS_PROXY" in sdk(f"https://{HOST}").description


@pytest.mark.parametrize("variable", CERTIFICATES)
def test_certificates_that_are_not_there_are_one_line(
    sdk: MakeChat, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "/nonexistent.pem")
    with pytest.raises(SettingError, match=rf"{variable} is /nonexistent.pem: No such file"):
        sdk(f"https://{HOST}")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "x.pem").write_text("no certificate")
    for path in (tmp_path / "empty", tmp_path / "empty" / "x.pem"):
        monkeypatch.setenv(variable, str(path))
        with pytest.raises(SettingError, match=rf"{variable} is .*certificate"):
            sdk(f"https://{HOST}")
    sdk("http://127.0.0.1:8000")  # which needs none


def test_a_hashed_folder_of_certificates_is_used(company: Company, tmp_path: Path) -> None:
    folder = tmp_path / "hashed"
    folder.mkdir()
    (folder / "0a1b2c3d.0").write_bytes(company.ca.read_bytes())
    trusted_certificates({"SSL_CERT_DIR": f"{folder}:{company.ca.parent}"})


# --- who is asked without one


def test_this_machine_is_asked_without_a_proxy(
    field_server: FieldServer, sdk: MakeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in VARIABLES[:3]:
        monkeypatch.setenv(variable, NOBODY)
    field_server.behaviours["m"] = lambda _: ANSWER
    for host in ("127.0.0.1", "localhost"):
        assert ask(sdk(field_server.origin.replace("127.0.0.1", host))).text == "Both are short.\n[[A]]"


def test_servers_of_our_own_are_asked_without_a_proxy(
    field_server: FieldServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (*VARIABLES[:3], *map(str.upper, VARIABLES[:3])):
        monkeypatch.setenv(variable, NOBODY)
    assert Connections("http://10.1.2.3:8000", "m", "", timeout_s=1, own_server=True).through == ""
    settings = JudgeSettings(models=("verl",))
    assert "proxy" not in make_chat("verl", settings, Served("10.1.2.3:8000", "m")).description
    field_server.behaviours["m"] = lambda _: ANSWER
    served = Served(field_server.origin.removeprefix("http://"), "m")
    assert ask(make_chat("verl", settings, served)).text == "Both are short.\n[[A]]"


def test_health_is_asked_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Tests are quiet."""

    server = HTTPServer(("127.0.0.1", 0), Healthy)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    for variable in (*VARIABLES[:3], *map(str.upper, VARIABLES[:3])):
        monkeypatch.setenv(variable, NOBODY)
    try:
        _check_health("vLLM engine 0", f"127.0.0.1:{server.server_port}")
        with pytest.raises(urllib.error.HTTPError):
            local_http.get(f"http://127.0.0.1:{server.server_port}/", 60)
    finally:
        server.shutdown()
        server.server_close()


def test_netrc_is_not_read(
    field_server: FieldServer, sdk: MakeChat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("default login anonymous password me@x.org\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    seen: list[Request] = []

    def behaviour(request: Request) -> Response:
        seen.append(request)
        return ANSWER

    field_server.behaviours["m"] = behaviour
    assert ask(sdk(field_server.origin)).text == "Both are short.\n[[A]]"
    assert [request.headers["authorization"] for request in seen] == [f"Bearer {KEY}"]


@pytest.mark.parametrize(
    ("exempt", "host", "port"),
    [
        ("*", "a.example", 443),
        ("a.example", "a.example", 443),
        ("A.Example", "a.example", 443),
        ("x, example", "a.example", 443),
        (".example", "a.example", 443),
        ("*.example", "a.example", 443),
        ("a.example:443", "a.example", 443),
        ("https://a.example", "a.example", 443),
        ("a.example.", "a.example", 443),
        ("10.0.0.0/8", "10.1.2.3", 80),
        ("10.1.2.3", "10.1.2.3", 80),
        ("10.1.2.3:80", "10.1.2.3", 80),
        ("fd00::/8", "fd00::1", 80),
        ("[fd00::1]:80", "fd00::1", 80),
        ("[fd00::1]", "fd00::1", 80),
    ],
)
def test_exempt_hosts(exempt: str, host: str, port: int) -> None:
    assert is_exempt(host, port, exempt)
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    for name in ("NO_PROXY", "no_proxy"):
        assert proxy_of(address, {"HTTP_PROXY": "http://p:1", name: exempt}) is None


@pytest.mark.parametrize(
    ("exempt", "host", "port"),
    [
        ("", "a.example", 443),
        ("ample", "a.example", 443),
        ("b.a.example", "a.example", 443),
        ("a.example:80", "a.example", 443),
        ("10.0.0.0/8", "11.1.2.3", 80),
        ("10.0.0.0/8", "a.example", 80),
        ("10.0.0.0/99", "10.1.2.3", 80),
        ("1.2.3", "10.1.2.3", 80),
        ("fd00::/8", "fe80::1", 80),
    ],
)
def test_other_hosts_are_not_exempt(exempt: str, host: str, port: int) -> None:
    assert not is_exempt(host, port, exempt)


@pytest.mark.parametrize(
    ("variables", "chosen"),
    [
        ({"http_proxy": "http://a:1", "HTTP_PROXY": "http://b:1"}, "http_proxy"),
        ({"HTTP_PROXY": "http://b:1", "ALL_PROXY": "http://c:1"}, "HTTP_PROXY"),
        ({"ALL_PROXY": "http://c:1"}, "ALL_PROXY"),
        ({"HTTPS_PROXY": "http://c:1"}, None),
        ({"http_proxy": "", "HTTP_PROXY": "http://b:1"}, None),
        ({}, None),
    ],
)
def test_which_variable_counts(variables: dict[str, str], chosen: str | None) -> None:
    proxy: Any = proxy_of("http://a.example", variables)
    assert (proxy and proxy.variable) == chosen


def test_a_proxy_s_password_is_not_shown() -> None:
    proxy = proxy_of("https://a.example", {"https_proxy": f"http://{LOGIN}@proxy"})
    assert proxy is not None
    assert proxy.login == ("me", PASSWORD)
    assert PASSWORD not in f"{proxy} {proxy!r} {proxy.address}"
