"""The server of the field's endpoints."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.field.endpoints import FieldServer


@pytest.fixture
def field_server() -> Iterator[FieldServer]:
    """A running `FieldServer`."""
    server = FieldServer()
    yield server
    server.close()
