"""How an address is reached from this machine: proxy and trusted certificates, as the environment names them.

The same for all providers, whose libraries differ in the variables that they know. `~/.netrc` is never read.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import certifi

from writing_rl.errors import SettingError
from writing_rl.judging.address import parse
from writing_rl.util.redact import printable

#: Variables that name trusted certificates: a file, or a folder of them. Where one is set, no others count.
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
#: What to say of a proxy that is no help.
WITHOUT = "or name the judge's host in NO_PROXY if it is reached without a proxy"


@dataclass(frozen=True)
class Proxy:
    """A proxy between this machine and an endpoint.

    Attributes:
        address: Without user and password.
        variable: The environment variable that names it.
        login: User and password, where it wants any.
    """

    address: str
    variable: str
    login: tuple[str, str] | None = None

    def __repr__(self) -> str:
        return f"Proxy({self.address!r}, {self.variable!r})"


def proxy_of(address: str, environment: Mapping[str, str] | None = None) -> Proxy | None:
    """The proxy through which an endpoint is asked, as curl chooses it; None for none.

    This machine itself is never asked through one: a proxy would look for the endpoint on its own machine.

    Args:
        address: The endpoint, checked.
        environment: The variables, in small or capital letters; None for those of this process.

    Raises:
        SettingError: The proxy cannot be used; the message names the variable.
    """
    environment = os.environ if environment is None else environment
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]
    if _is_this_machine(host) or is_exempt(host, port, _value("no_proxy", environment)[1]):
        return None
    for name in (f"{parts.scheme}_proxy", "all_proxy"):
        variable, value = _value(name, environment)
        if value:
            return _proxy(variable, value)
    return None


def is_exempt(host: str, port: int, exempt: str) -> bool:
    """Whether `NO_PROXY` names a host.

    Args:
        host: Name or IP address, in small letters.
        port: Its port.
        exempt: The variable's value: names, which stand for all hosts below them as well, IP addresses,
            networks such as 10.0.0.0/8, each with a port or without, or `*` for all.
    """
    address = _ip(host)
    for entry in exempt.replace(",", " ").lower().split():
        entry = entry.partition("://")[2] or entry
        if entry == "*":
            return True
        name, colon, only_port = entry.rpartition(":")
        if not colon or not only_port.isdecimal() or (":" in name and not name.endswith("]")):
            name, only_port = entry, ""
        if only_port and int(only_port) != port:
            continue
        name = name.strip("[]")
        if address is not None:
            with contextlib.suppress(ValueError):  # a name, most likely
                if address in ipaddress.ip_network(name, strict=False):
                    return True
            continue
        name = name.lstrip("*").strip(".")
        if name and (host.rstrip(".") == name or host.rstrip(".").endswith(f".{name}")):
            return True
    return False


def trusted_certificates(environment: Mapping[str, str] | None = None) -> ssl.SSLContext:
    """What servers have to prove who they are with: the variables' certificates, else those of the system.

    Raises:
        SettingError: A variable names what is no certificate; the message names it.
    """
    environment = os.environ if environment is None else environment
    named = [(name, value) for name in CERTIFICATES if (value := environment.get(name, "").strip())]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not named:
        paths = ssl.get_default_verify_paths()
        # Compiled-in paths: those in the variables are none by now.
        file = paths.openssl_cafile if os.path.isfile(paths.openssl_cafile) else certifi.where()
        folder = paths.openssl_capath if os.path.isdir(paths.openssl_capath) else None
        context.load_verify_locations(file, folder)
        return context
    for variable, value in named:
        for path in value.split(os.pathsep) if variable == "SSL_CERT_DIR" else [value]:
            _load(context, variable, path)
    return context


def _load(context: ssl.SSLContext, variable: str, path: str) -> None:
    shown = printable(path, 200)
    place = Path(path).expanduser()
    try:
        if not place.is_dir():
            context.load_verify_locations(cafile=place)
            return
        files = sorted(file for file in place.iterdir() if file.is_file())
    except ssl.SSLError:
        raise SettingError(
            f"{variable} is {shown}, which holds no certificate: name a file of them in the form PEM"
        ) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no path"
        raise SettingError(
            f"{variable} is {shown}: {why}: name the file of your certificates, or unset it"
        ) from None
    if any(re.fullmatch(r"[0-9a-f]{8}\.\d+", file.name) for file in files):
        context.load_verify_locations(capath=place)  # found by name, as `openssl rehash` has made them
        return
    loaded = 0
    for file in files:
        try:
            context.load_verify_locations(cafile=file)
            loaded += 1
        except (OSError, ssl.SSLError):
            continue
    if not loaded:
        raise SettingError(f"{variable} is {shown}, which holds no certificate in the form PEM: name another")


def _proxy(variable: str, value: str) -> Proxy:
    value = value.strip(" ")
    scheme = value.partition("://")[0].lower() if "://" in value else ""
    if scheme.startswith("socks"):
        raise SettingError(
            f"{variable} names a SOCKS proxy, which judges cannot be asked through: set HTTPS_PROXY or "
            f"HTTP_PROXY to an HTTP proxy (http://HOST:PORT), {WITHOUT}"
        )
    parts = parse(value, variable)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    login = None
    if "@" in parts.netloc:
        login = unquote(parts.username or ""), unquote(parts.password or "")
        if ":" in login[0]:
            raise SettingError(f"{variable} names a user with a colon, which no proxy takes: name another")
    return Proxy(f"{parts.scheme}://{host}:{port}", variable, login)


def _value(name: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """A variable's name and value; that in small letters counts first, also if it is empty."""
    spelling = name if name in environment else name.upper()
    return spelling, environment.get(spelling, "")


def _is_this_machine(host: str) -> bool:
    address = _ip(host)
    if address is not None:
        return address.is_loopback or address.is_unspecified
    return host.rstrip(".") == "localhost" or host.rstrip(".").endswith(".localhost")


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
