"""One request to a field server with each of the two SDKs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from writing_rl.judging.client.chat_model import Answer, Chat
from writing_rl.judging.providers.dashscope_sdk import DashScopeChat
from writing_rl.judging.providers.openai_compatible import OpenAICompatibleChat
from writing_rl.judging.settings import JudgeSettings

KEY = "sk-field-0123456789abcdefghij"

#: Makes a chat of the model `m` with a judge at an origin such as `http://host:80`.
MakeChat = Callable[[str, JudgeSettings], Chat]


def settings(**more: float) -> JudgeSettings:
    """Those of a judge that is given time enough on a busy machine."""
    return JudgeSettings(models=("m",), **{"request_timeout_s": 60.0, **more})  # type: ignore[arg-type]


def openai_chat(origin: str, settings: JudgeSettings = settings()) -> Chat:
    """Through openai's client."""
    return OpenAICompatibleChat("m", f"{origin}/v1", settings)


def dashscope_chat(origin: str, settings: JudgeSettings = settings()) -> Chat:
    """Through DashScope's SDK."""
    return DashScopeChat("m", settings, base_address=f"{origin}/api/v1")


SDKS = (openai_chat, dashscope_chat)


def ask(chat: Chat) -> Answer:
    """The answer to one request."""

    async def run() -> Answer:
        try:
            return await chat.complete([{"role": "user", "content": "Which text is better?"}])
        finally:
            await chat.close()

    return asyncio.run(run())
