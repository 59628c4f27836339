"""DashScope through its own SDK, which has what its OpenAI-compatible endpoint lacks: data inspection."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any

import aiohttp
import dashscope
from dashscope.aigc.generation import AioGeneration

from writing_rl.errors import SettingError, Transient, Unscored
from writing_rl.judging.address import check_address
from writing_rl.judging.chat import Answer, Messages
from writing_rl.judging.providers.answers import answer_of, text_of
from writing_rl.judging.providers.billing import counted, read_usage
from writing_rl.judging.providers.failures import failure_of, presentable
from writing_rl.judging.providers.http import Connections
from writing_rl.judging.providers.keys import read_key
from writing_rl.settings import JudgeSettings

KEY_VARIABLE = "DASHSCOPE_API_KEY"

# It logs every failed request with a traceback; what failed is told by the exceptions here.
logging.getLogger("dashscope").setLevel(logging.CRITICAL)


class DashScopeChat:
    """Asks one model.

    The SDK's own variables (DASHSCOPE_HTTP_BASE_URL, DASHSCOPE_API_REGION) choose where.
    """

    def __init__(self, model: str, settings: JudgeSettings, base_address: str | None = None) -> None:
        """Connects to nothing yet.

        Args:
            model: Its name at DashScope.
            settings: Sampling, time-outs and data inspection.
            base_address: The endpoint; None is the SDK's default.

        Raises:
            SettingError: There is no key.
        """
        self._key = read_key(KEY_VARIABLE)
        if not self._key:
            raise SettingError(
                f"model {model} is asked at DashScope and needs a key: set {KEY_VARIABLE}, or "
                "OPENAI_BASE_URL for an endpoint of your own, or JUDGE_MODEL=offline to try the system "
                "without a judge model"
            )
        if base_address is None and (base_address := os.environ.get("DASHSCOPE_HTTP_BASE_URL") or None):
            check_address(base_address, "DASHSCOPE_HTTP_BASE_URL", KEY_VARIABLE)
        self._model = model
        self._sampling: dict[str, Any] = {
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
        }
        self._settings: dict[str, Any] = {"request_timeout": settings.request_timeout_s + 10}
        if settings.data_inspection is not None:
            self._settings["headers"] = {"X-DashScope-DataInspection": settings.data_inspection}
        if base_address is not None:
            self._settings["base_address"] = base_address
        self.description = f"{model} at DashScope"
        # Of our own: the SDK's have room for 100 connections, and send a request again by themselves.
        self._connections = Connections(
            base_address or dashscope.base_http_api_url,
            self.description,
            self._key,
            timeout_s=settings.request_timeout_s,
        )
        self.description += self._connections.through
        self.identity = f"dashscope {base_address} {model} {self._sampling} {settings.data_inspection}"

    async def close(self) -> None:
        """See `Chat.close`."""
        await self._connections.close()

    async def complete(self, messages: Messages) -> Answer:
        """See `Chat.complete`."""
        try:
            response: Any = await AioGeneration.call(
                model=self._model,
                messages=messages,  # type: ignore[arg-type]
                api_key=self._key,
                result_format="message",
                session=self._connections.session(),
                **self._sampling,
                **{name: _copy(value) for name, value in self._settings.items()},
            )
        except asyncio.TimeoutError as error:
            raise Transient("timeout", "no answer within the time-out of a request") from error
        except (aiohttp.ClientError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
            raise Unscored("malformed", "DashScope answered in another form than its SDK expects") from None
        if response.status_code != 200:
            raise failure_of(
                response.status_code,
                str(response.code or ""),
                presentable(str(response.message), self._key),
                getattr(response, "headers", None) or {},
                judge=self.description,
                key_variable=KEY_VARIABLE,
            )
        return self._read(response)

    def _read(self, response: Any) -> Answer:
        try:
            choice = response.output.choices[0]
            content, ending = choice.message.content, choice.finish_reason
            billed = read_usage(response.usage)
        except (AttributeError, IndexError, KeyError, TypeError):
            raise Unscored("malformed", "DashScope answered without a message") from None
        return counted(answer_of(text_of(content), ending, billed[:2]), billed)


def _copy(value: Any) -> Any:
    """The SDK changes the headers that it is given."""
    return dict(value) if isinstance(value, dict) else value
