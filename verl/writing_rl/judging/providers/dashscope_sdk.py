"""DashScope through its own SDK, which has what its OpenAI-compatible endpoint lacks: data inspection."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import aiohttp
from dashscope.aigc.generation import AioGeneration

from writing_rl.errors import SettingError, Transient, Unscored
from writing_rl.judging.chat import Answer, Messages
from writing_rl.judging.providers.answers import answer_of, text_of
from writing_rl.judging.providers.billing import counted, read_usage
from writing_rl.judging.providers.failures import NOTHING_BILLED, failure_of, presentable
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
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.description = f"{model} at DashScope"
        self.identity = f"dashscope {base_address} {model} {self._sampling} {settings.data_inspection}"

    async def close(self) -> None:
        """See `Chat.close`."""
        if self._session is not None:
            await self._session.close()

    async def complete(self, messages: Messages) -> Answer:
        """See `Chat.complete`."""
        try:
            response: Any = await AioGeneration.call(
                model=self._model,
                messages=messages,  # type: ignore[arg-type]
                api_key=self._key,
                result_format="message",
                session=self._connections(),
                **self._sampling,
                **{name: _copy(value) for name, value in self._settings.items()},
            )
        except asyncio.TimeoutError as error:
            raise Transient("timeout", "no answer within the time-out of a request") from error
        except aiohttp.ClientError as error:
            never_sent = isinstance(error.__cause__, aiohttp.ClientConnectorError)
            raise Transient(
                "connection",
                presentable(str(error), self._key),
                tokens=NOTHING_BILLED if never_sent else None,
            ) from None
        except (ValueError, KeyError, AttributeError, TypeError):
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

    def _connections(self) -> aiohttp.ClientSession:
        """A session of our own: the SDK's has room for 100 connections, which would be a limit unseen."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), trust_env=True, middlewares=(send_once,)
            )
            self._loop = loop
        return self._session


class ConnectionLost(aiohttp.ClientError):
    """A connection failed. The SDK knows nothing of it, and so does not send the request again."""


async def send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keeps the SDK from sending a request again by itself: `Channel` does so, and counts it."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectionError as error:
        raise ConnectionLost(str(error)) from error


def _copy(value: Any) -> Any:
    """The SDK changes the headers that it is given."""
    return dict(value) if isinstance(value, dict) else value
