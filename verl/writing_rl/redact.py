"""Keeping out of files and reports what is secret, or would break a page. Pure functions."""

from __future__ import annotations

import re

_SECRET_KEY = re.compile(r"api_?key|access_?key|secret|passw|credential|authorization|(^|_)token$", re.I)
_SECRET_VALUES = re.compile(
    r"\b(?:sk|pk|hf|ghp|xox[bp])[-_][\w*.-]{6,}"
    r"|(?i:\bbearer\s+)[\w.~+/*-]{6,}=*"
    r"|(?i:\bapi[-_ ]?key\W*[:=]\W*)[\w*-]{8,}"
)
_USER_OF_ADDRESS = re.compile(r"(?<=://)[^/\s@]+@")
_QUERY_OF_ADDRESS = re.compile(r"(\w+://[^\s?'\"]+)\?[^\s'\"]+")
#: Control characters but for tab and line break, and halves of characters, which have no place in a page.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

HIDDEN = "(hidden)"


def is_secret(key: str) -> bool:
    """Whether a setting's name says that its value is secret."""
    name = key.rpartition(".")[2]
    return bool(_SECRET_KEY.search(name)) or ".env_vars." in key


def redact(text: str) -> str:
    """A text without what looks like a key: a provider's error message may quote one."""
    text = _SECRET_VALUES.sub(HIDDEN, text)
    text = _USER_OF_ADDRESS.sub(f"{HIDDEN}@", text)
    return _QUERY_OF_ADDRESS.sub(rf"\1?{HIDDEN}", text)


def clean(text: str) -> str:
    """A text without characters that a page may not hold."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
