"""The server of the field's endpoints, and the two SDKs that ask it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.field.asking import KEY, SDKS, MakeChat
from tests.field.endpoints import FieldServer


@pytest.fixture
def field_server() -> Iterator[FieldServer]:
    """A running `FieldServer`."""
    server = FieldServer()
    yield server
    server.close()


@pytest.fixture(params=SDKS, ids=lambda sdk: sdk.__name__)
def sdk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MakeChat:
    """Makes a chat of either SDK, with a key."""
    for name in ("OPENAI_API_KEY", "DASHSCOPE_API_KEY"):
        monkeypatch.setenv(name, KEY)
    made: MakeChat = request.param
    return made
