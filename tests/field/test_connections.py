"""Connections that an endpoint, or a gateway before it, cuts between two requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from tests.field.asking import MakeChat, settings
from tests.field.endpoints import dashscope_message, message
from writing_rl.errors import Transient
from writing_rl.judging.client.chat_model import Chat

KEPT = 6
BODY = json.dumps(message().body | dashscope_message().body).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)


class Gateway:
    """Answers the first request of each connection once `KEPT` have come, and cuts it at the second."""

    def __init__(self) -> None:
        self.connections = 0
        self._all_there = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.connections == KEPT:
            self._all_there.set()
        await self._read(reader)
        await self._all_there.wait()
        writer.write(HEAD + BODY)
        await self._read(reader)
        writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))


async def ask_all(chats: Sequence[Chat]) -> list[str]:
    answers = await asyncio.gather(*(chat.complete([{"role": "user", "content": "?"}]) for chat in chats))
    return [answer.text for answer in answers]


async def test_a_cut_connection_costs_a_question_one_retry_however_many_are_kept(sdk: MakeChat) -> None:
    gateway = Gateway()
    server = await asyncio.start_server(gateway.serve, "127.0.0.1", 0)
    chat = sdk(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", settings())
    async with server:
        await ask_all([chat] * KEPT)
        with pytest.raises(Transient):
            await ask_all([chat])
        await ask_all([chat])
        await chat.close()
    assert gateway.connections == KEPT + 1
