"""Keeping secrets and control characters out of whatever is shown or stored. Pure functions.

Texts of providers, judges and models are hostile: every function takes time linear in their length.
"""

from __future__ import annotations

import base64
import functools
import re
from urllib.parse import parse_qsl, quote

HIDDEN = "(hidden)"

_SECRET_KEY = re.compile(r"api_?key|access_?key|secret|passw|credential|authorization|(^|_)token$", re.I)
# A scan that fails is begun anew at the next character, so what can fail is bounded in all patterns below.
#: In a word that may be a secret: a digit, a mask, an inner dot or underscore.
_UNUSUAL = r"(?=[\w.~+/*-]{0,80}?(?:\d|\*|[._]\w))"
_SECRET_VALUES = re.compile(
    r"\b(?:(?:sk|pk|hf|xai|gsk|ghp|xox[bp])[-_][\w*.-]{6,}|AIza[\w-]{20,}|AKIA\w{12,}|eyJ[\w-]{16,}[\w.-]*)"
    rf"|\b(?i:bearer|basic)\s{{1,4}}{_UNUSUAL}[\w.~+/*-]{{6,}}=*"
    r"|(?i:\b(?:api|access)[-_ ]?key|\bsecret|\bpassw(?:or)?d)\W{0,8}[:=]\W{0,8}"
    rf"{_UNUSUAL}[\w*-]{{8,}}"
)
#: What follows the scheme of an address, to the next white space or quotation mark: it may hold others.
_AFTER_SCHEME = re.compile(r"(?<=://)[^\s'\"<>]+")
#: A query that names the version of an API and nothing else, as Azure's addresses do.
_PLAIN_QUERY = re.compile(r"api-version=[\w.-]{1,40}")
#: Names of parameters whose values are secrets.
_SECRET_PARAMETER = re.compile(
    r"(?:^|[-_.])(?:key|token|secret|sign?|signature|sas|code|pass|pwd|auth|authorization|cred\w*|jwt|bearer)"
    r"(?:$|[-_.\d])|(?:key|token|secret|signature|passw(?:or)?d|pwd)$|(?:access|api)[-_]?key",
    re.I,
)
#: Control characters but for tab and line break, and halves of characters, which have no place in a page.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
#: What a terminal would obey, what turns text around, what nobody sees, and what is no character. Joiners
#: (U+200C, U+200D) stay: scripts and emoji need them.
_INVISIBLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff"
    r"\ufff0-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)
#: Keys that are shorter are words, such as `none` or `EMPTY`.
_LEAST_KEY = 6
#: Keys that are shorter may be words of an ordinary text, such as `changeme`.
_LEAST_UNUSUAL_KEY = 12


def is_secret(key: str) -> bool:
    """Whether a setting's name says that its value is secret."""
    name = key.rpartition(".")[2]
    return bool(_SECRET_KEY.search(name)) or ".env_vars." in key


def redact(text: str) -> str:
    """A text without what looks like a key: a provider's error message may quote one.

    In addresses, users with their passwords are hidden, and queries that may hold keys.
    """
    text = _AFTER_SCHEME.sub(lambda match: "://".join(map(_hide_in_address, match[0].split("://"))), text)
    return _SECRET_VALUES.sub(HIDDEN, text)


def secret_parameter(query: str) -> str | None:
    """The name of the first parameter of a query whose value is a secret, by its name or looks, or None."""
    for name, value in parse_qsl(query.replace(";", "&"), keep_blank_values=True):
        if _SECRET_PARAMETER.search(name) or _SECRET_VALUES.search(value):
            return name
    return None


def hide_key(text: str, key: str, *, in_prose: bool = False) -> str:
    """A text without a key that is known.

    Found are the key itself, a large part of it (without its last characters, say), its base64 (also in that
    of a longer text such as `user:key`), its hexadecimal and its URL-encoded form, in either case.

    Args:
        text: Any.
        key: The key. One of fewer than 6 characters is a word, not a secret.
        in_prose: Whether the text is a model's, in which a key like `changeme` is most likely a word: keys of
            fewer than 12 characters are left in it.
    """
    content = text.encode("utf-8", "surrogatepass")
    shown = hide_key_in_bytes(content, key, in_prose=in_prose)
    return text if shown is content else shown.decode("utf-8", "replace")


def hide_key_in_bytes(content: bytes, key: str, *, in_prose: bool = False) -> bytes:
    """See `hide_key`; the same object where the key is not in it."""
    if len(key) < (_LEAST_UNUSUAL_KEY if in_prose else _LEAST_KEY):
        return content
    searched = content.lower()  # ASCII alone, so that positions are the same
    found: list[tuple[int, int]] = []
    raw, *encoded = _forms(key)
    found += _shared(searched, raw, 16)
    for form in encoded:
        found += _shared(searched, form, len(form))
    if not found:
        return content
    parts, end = [], 0
    for begin, stop in sorted(found):
        if begin >= end:
            parts += [content[end:begin], HIDDEN.encode()]
        end = max(end, stop)
    return b"".join([*parts, content[end:]])


def clean(text: str) -> str:
    """A text without characters that a page may not hold."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def printable(text: str, most: int | None = None) -> str:
    r"""A text from outside as one line for a terminal or a log.

    Line breaks, control characters, format characters that turn text around or are invisible, and halves of
    characters become visible escapes: `\n`, `\x1b`, `\u202e`.

    Args:
        text: Any.
        most: Characters after which it is cut off, with an ellipsis; None never cuts.
    """
    shown = _INVISIBLE.sub(_escape, text if most is None else text[: most + 1])
    return shown if most is None or len(shown) <= most else f"{shown[: most - 1]}…"


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def _hide_in_address(part: str) -> str:
    """What follows `://`, up to the next one, without user, password and secret parameters."""
    authority = re.split(r"[/?#\\]", part, maxsplit=1)[0]
    host, colon, port = authority.rpartition(":")
    # A password may hold what ends a host: then what stands where the port would be is no number.
    end = part.rfind("@") if colon and host and not port.isdecimal() else authority.rfind("@")
    user, part = (f"{HIDDEN}@", part[end + 1 :]) if end >= 0 else ("", part)
    address, mark, query = part.partition("?")
    address, fragment_mark, fragment = address.partition("#")
    if fragment_mark and "=" in fragment:
        fragment = HIDDEN
    if mark and query and not _PLAIN_QUERY.fullmatch(query):
        query = HIDDEN
    return f"{user}{address}{fragment_mark}{fragment}{mark}{query}"


@functools.lru_cache(maxsize=8)
def _forms(key: str) -> tuple[bytes, ...]:
    """What a key may look like in a text, in small letters."""
    raw = key.encode("utf-8", "surrogatepass")
    forms = [raw, raw.hex().encode(), quote(key, safe="", errors="replace").encode()]
    for before in range(3):  # its place in what is encoded decides how it looks
        encoded = base64.b64encode(b"\0" * before + raw).rstrip(b"=")
        forms.append(encoded[before + 1 if before else 0 : -1])
        forms.append(forms[-1].replace(b"+", b"-").replace(b"/", b"_"))
    return tuple(dict.fromkeys(form.lower() for form in forms))


def _shared(content: bytes, secret: bytes, most: int) -> list[tuple[int, int]]:
    """Where a content holds three quarters of a secret, or `most` bytes of it, in a row: begins and ends."""
    least = min(most, max(_LEAST_KEY, len(secret) * 3 // 4))
    # Whatever shares `least` bytes with the secret holds one of these pieces whole; `find` is fast.
    size = (least + 1) // 2
    found = []
    for offset in range(0, len(secret) - size + 1, size):
        piece, at = secret[offset : offset + size], 0
        while (at := content.find(piece, at)) >= 0:
            before = after = 0
            while before < min(at, offset) and content[at - before - 1] == secret[offset - before - 1]:
                before += 1
            rest, tail = content[at + size : at + size + len(secret)], secret[offset + size :]
            while after < min(len(rest), len(tail)) and rest[after] == tail[after]:
                after += 1
            if before + size + after >= least:
                found.append((at - before, at + size + after))
            at += size if before + size + after >= least else 1
    return found
