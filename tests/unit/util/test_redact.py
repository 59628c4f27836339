"""Secrets and control characters in texts from outside."""

from __future__ import annotations

import base64
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.judging.providers.failures import presentable
from writing_rl.util.redact import HIDDEN, hide_key, printable, redact, secret_parameter

KEY = "sk-proj-Ab3/dEf+Gh1jKl4MnOpQ7rStUv"

#: What any linear scan reads in a second, and one that begins anew at every character in hours.
LONG = 400_000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\r\n\tc", r"a\nb\r\n\tc"),
        ("\x1b]52;c;eA==\x07done", r"\x1b]52;c;eA==\x07done"),
        ("\x9b2J\x00\x7f\x85", r"\x9b2J\x00\x7f\x85"),
        ("\u202eabc\u2066\u200b\ufeff\u2028", r"\u202eabc\u2066\u200b\ufeff\u2028"),
        ("half \ud83d", r"half \ud83d"),
        ("tag \U000e0041", r"tag \U000e0041"),
        ("👩\u200d🚀 می\u200cخواهم 海é", "👩\u200d🚀 می\u200cخواهم 海é"),
    ],
)
def test_control_characters_are_shown_as_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Ll", "Lo"])))
def test_a_printable_text_is_one_line_without_control_characters(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert not {"Cc", "Cs", "Zl", "Zp"} & {unicodedata.category(char) for char in shown}
    assert printable(shown) == shown


@given(st.text(), st.integers(1, 20))
def test_a_printable_text_can_be_cut(text: str, most: int) -> None:
    shown = printable(text, most)
    assert len(shown) <= most
    assert shown == printable(text) or shown.endswith("…")


@pytest.mark.parametrize(
    "form",
    [
        KEY,
        KEY[:-1],
        KEY[:-5],
        KEY[1:],
        KEY[3:],
        KEY.upper(),
        KEY.encode().hex(),
        quote(KEY, safe=""),
        base64.b64encode(KEY.encode()).decode(),
        base64.b64encode(f":{KEY}".encode()).decode(),
        base64.b64encode(f"me:{KEY}".encode()).decode(),
        base64.urlsafe_b64encode(f"Bearer {KEY}".encode()).decode(),
    ],
)
def test_a_key_is_hidden_in_every_form(form: str) -> None:
    shown = hide_key(f"refused: {form}, {form}", KEY)
    assert shown.count(HIDDEN) == 2
    assert not any(form[at : at + 12] in shown for at in range(len(form) - 12))
    assert shown.startswith("refused: ")


def test_texts_without_the_key_stay_as_they_are() -> None:
    text = f"Keys begin with {KEY[:8]} and \ud83d 海 are longer."
    assert hide_key(text, KEY) == text
    assert hide_key("an EMPTY page, none", "EMPTY") == "an EMPTY page, none"
    assert hide_key("he will change", "changeme", in_prose=True) == "he will change"
    assert hide_key("key changeme refused", "changeme") == f"key {HIDDEN} refused"


@given(st.text(), st.text())
def test_a_known_key_is_hidden_wherever_it_stands(before: str, after: str) -> None:
    assert KEY not in hide_key(before + KEY + after, KEY)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at https://me:pass@host:80/v1?x=1", "at https://(hidden)@host:80/v1?(hidden)"),
        ("http://me:p/a?s#s@host/v1", "http://(hidden)@host/v1"),
        ("http://me:p@ss@host/v1", "http://(hidden)@host/v1"),
        ("http://proxy:3128/path/@scope", "http://proxy:3128/path/@scope"),
        ("http://a/http://me:pass@b/", "http://a/http://(hidden)@b/"),
        ("https://a/v1?api-version=2024-06-01 'b?c'", "https://a/v1?api-version=2024-06-01 'b?c'"),
        ("https://a/#access_token=x", "https://a/#(hidden)"),
        ("Bearer token required", "Bearer token required"),
        ("Authorization: Basic bWU6cGFzcw==", "Authorization: (hidden)"),
        ("api_key: expected a string", "api_key: expected a string"),
        ('{"api_key": "0123456789abcdef"}', '{"(hidden)"}'),
        ("a risk-free word", "a risk-free word"),
        ("AIzaSyA1234567890abcdefghijkl gsk_abcdef12345", "(hidden) (hidden)"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "query",
    [
        *("api_key=x", "API-KEY=x", "apikey=x", "a=b&key=x", "token=x", "access_token=x", "sig=x", "code=x"),
        *(
            "subscription-key=x",
            "a=1;token=x",
            "api%5Fkey=x",
            "x=sk-abcdef123456",
            "X-Amz-Credential=x",
            "key=",
        ),
    ],
)
def test_secrets_in_queries_are_known(query: str) -> None:
    assert secret_parameter(query) is not None


@pytest.mark.parametrize(
    "query", ["api-version=2024-06-01", "author=x&region=eu", "max_tokens=5", "", "flag"]
)
def test_other_queries_are_not_secret(query: str) -> None:
    assert secret_parameter(query) is None


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        *(
            "http://",
            "a",
            "apikey:",
            "bearer ",
            "sk-",
            "eyJ-",
            "://",
            "u:p@",
            "http://a:b",
            "basic a",
            "\x1b]",
        ),
        *("password" + ":" * 9, "http://?", "sk-proj-A", "0"),
    ],
)
def test_time_is_linear_in_the_length(text: str) -> None:
    text = text * (LONG // len(text))
    assert len(printable(hide_key(redact(text), KEY), 100)) <= 100
    assert printable(text)


def test_a_provider_s_message_is_a_short_line() -> None:
    message = f"\x1b]0;x\x07no\nkey {KEY[:-1]} at https://me:pass@host/?sig=1" + "!" * 300
    shown = presentable(message, KEY)
    assert shown.startswith(r"\x1b]0;x\x07no\nkey (hidden) at https://(hidden)@host/?(hidden)")
    assert len(shown) <= 200
