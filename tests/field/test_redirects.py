"""Redirects: texts go to no address but the one that is set, and the new one is named."""

from __future__ import annotations

import pytest

from tests.field.asking import KEY, MakeChat, ask
from tests.field.endpoints import FieldServer, Response
from writing_rl.errors import JudgeError


def redirect(field_server: FieldServer, status: int, location: str | None) -> None:
    headers = {} if location is None else {"Location": location}
    field_server.behaviours["m"] = lambda _: Response(status, "moved", headers)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(field_server: FieldServer, sdk: MakeChat, status: int) -> None:
    other = FieldServer()
    try:
        redirect(field_server, status, f"{other.origin}/v2?session=secret#x")
        with pytest.raises(JudgeError) as caught:
            ask(sdk(field_server.origin))
        assert not other.requests
    finally:
        other.close()
    assert f"redirects to {other.origin}/v2 ({status})" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert len(field_server.requests) == 1


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("/login?next=%2Fv1", "/login (307)"),
        ("//other.example/v1", "http://other.example/v1 (307)"),
        (f"https://me:pass@other.example/{KEY}", "https://(hidden)@other.example/(hidden) (307)"),
        ("http://[bad", "http://[bad (307)"),
        ("javascript:alert(1)", "javascript:alert(1) (307)"),
        ("http://x/\x1b]0;x\x07", "(307)"),
        ("", "(307)"),
        (None, "(307)"),
    ],
)
def test_the_new_address_is_named_in_one_line(
    field_server: FieldServer, sdk: MakeChat, location: str | None, shown: str
) -> None:
    redirect(field_server, 307, location)
    with pytest.raises(JudgeError) as caught:
        ask(sdk(field_server.origin))
    message = str(caught.value)
    assert shown in message
    assert message.isprintable()
    assert "OPENAI_BASE_URL" in message
