"""A model whose server is this process's own, and may die."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from writing_rl.errors import Transient
from writing_rl.judging.client.chat_model import Answer, Chat, Messages


class CheckedChat:
    """Asks another `Chat`; where that fails, the server is looked at before the request is made again."""

    def __init__(self, chat: Chat, check: Callable[[], None]) -> None:
        """Asks nothing yet.

        Args:
            chat: Who is asked.
            check: Raises where the server has ended: nothing more can be asked then.
        """
        self._chat = chat
        self._check = check
        self.description = chat.description

    @property
    def identity(self) -> str:
        """See `Chat.identity`."""
        return self._chat.identity

    @property
    def learnt(self) -> Mapping[str, Any]:
        """See `Chat.learnt`."""
        return self._chat.learnt

    async def complete(self, messages: Messages) -> Answer:
        """See `Chat.complete`."""
        try:
            return await self._chat.complete(messages)
        except Transient:
            self._check()
            raise

    async def close(self) -> None:
        """See `Chat.close`."""
        await self._chat.close()
