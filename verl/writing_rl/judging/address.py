"""Addresses of endpoints as people set them: what cannot work, or would put a secret in files, is refused."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from writing_rl.errors import SettingError
from writing_rl.util.redact import printable, secret_parameter

SCHEMES = ("http", "https")


def check_address(address: str, setting: str, key_variable: str = "OPENAI_API_KEY") -> str:
    """The address of an endpoint, if it is one.

    Args:
        address: Such as `https://host:8000/v1`; a query like Azure's `api-version` may be there.
        setting: What an error calls the place that it comes from. The address itself is never shown.
        key_variable: Environment variable for the key, which is no part of the address.

    Raises:
        SettingError: It is none, or holds a user, a password or a key, which would be written to logs.
    """
    remedy = f", and addresses are written to files: leave it out, and set {key_variable} to the key"
    if "@" in address:  # wherever: a password may hold slashes
        raise SettingError(f"{setting} holds a user or a password before an @{remedy}")
    parts = parse(address, setting)
    for query in (parts.query, parts.fragment):
        if (name := secret_parameter(query)) is not None:
            raise SettingError(f"{setting} holds a key in its query ({printable(name, 40)}=...){remedy}")
    return address


def parse(address: str, setting: str) -> SplitResult:
    """The parts of an address that names a host.

    Args:
        address: Where.
        setting: What an error calls the place that it comes from. The address itself is never shown.

    Raises:
        SettingError: It cannot be one.
    """
    if any(character <= " " or "\x7f" <= character <= "\xa0" for character in address):
        hint = " (a file with Windows line ends?)" if "\r" in address else ""
        raise SettingError(f"{setting} holds white space or control characters{hint}: set it anew")
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
        # Where a password holds a slash, user and the rest of it look like host and port.
        torn = "@" in address and "@" not in parts.netloc and ":" in parts.netloc
    except ValueError:
        torn, host, port = "@" in address, None, None
    if torn:
        raise SettingError(
            f"{setting} holds an @ behind a slash, so its host is not clear: write special characters of "
            "user and password as %XX"
        )
    if not address.lower().startswith(tuple(f"{scheme}://" for scheme in SCHEMES)):
        raise SettingError(f"{setting} has to begin with http:// or https://")
    if not host or port == 0:
        raise SettingError(f"{setting} is no address: write http://HOST:PORT, an IPv6 address in brackets")
    return parts
