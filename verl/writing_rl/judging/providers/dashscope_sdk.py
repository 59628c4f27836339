"""DashScope through its own SDK, which has what its OpenAI-compatible endpoint lacks: data inspection."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from typing import Any

import aiohttp
import dashscope
from dashscope.aigc.generation import AioGeneration

from writing_rl.errors import SettingError, Transient, Unscored
from writing_rl.judging.address import check_address
from writing_rl.judging.client.chat_model import Messages
from writing_rl.judging.client.request_queue import TIMEOUT
from writing_rl.judging.providers import http
from writing_rl.judging.providers.answers import read_reply
from writing_rl.judging.providers.exchange import ProviderChat
from writing_rl.judging.providers.failures import Reply, presentable
from writing_rl.judging.providers.keys import COMPATIBLE, INTERNATIONAL, read_key
from writing_rl.judging.settings import JudgeSettings

KEY_VARIABLE = "DASHSCOPE_API_KEY"

#: What is said where a key is refused at the SDK's own address.
OTHER_SITE = (
    "; a key of the international site needs "
    "DASHSCOPE_HTTP_BASE_URL=https://dashscope-intl.aliyuncs.com/api/v1"
)

# It logs every failed request with a traceback; what failed is told by the exceptions here.
logging.getLogger("dashscope").setLevel(logging.CRITICAL)


class DashScopeChat(ProviderChat):
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
        key = read_key(KEY_VARIABLE)
        if not key:
            raise SettingError(
                f"model {model} is asked at DashScope and needs a key: set {KEY_VARIABLE}, or "
                "OPENAI_BASE_URL for an endpoint of your own, or JUDGE_MODEL=offline to try the system "
                "without a judge model"
            )
        if base_address is None and (base_address := os.environ.get("DASHSCOPE_HTTP_BASE_URL") or None):
            check_address(base_address, "DASHSCOPE_HTTP_BASE_URL", KEY_VARIABLE)
        self._model = model
        self._settings: dict[str, Any] = {"request_timeout": settings.request_timeout_s + http.SLACK_S}
        if settings.data_inspection is not None:
            self._settings["headers"] = {"X-DashScope-DataInspection": settings.data_inspection}
        if base_address is not None:
            self._settings["base_address"] = base_address
        address = base_address or dashscope.base_http_api_url
        self.compatible = INTERNATIONAL if "-intl" in address else COMPATIBLE
        self.key_hint = "" if base_address else OTHER_SITE
        self._inspection = settings.data_inspection
        description = f"{model} at DashScope"
        # Of our own: the SDK's have room for 100 connections, and send a request again by themselves.
        self._connections = http.Connections(
            address, description, key, timeout_s=settings.request_timeout_s, then=receive
        )
        super().__init__(
            model,
            settings,
            description=description + self._connections.through,
            place=f"dashscope {base_address} {model}",
            key=key,
            key_variable=KEY_VARIABLE,
        )

    async def close(self) -> None:
        """See `Chat.close`."""
        await self._connections.close()

    @property
    def identity(self) -> str:
        """See `Chat.identity`."""
        return f"{super().identity} {self._inspection}"

    async def _request(self, messages: Messages, parameters: Mapping[str, Any]) -> Reply:
        try:
            await AioGeneration.call(
                model=self._model,
                messages=messages,  # type: ignore[arg-type]
                api_key=self._key,
                result_format="message",
                session=self._connections.session(),
                **parameters,
                **{name: _copy(value) for name, value in self._settings.items()},
            )
        except Received as received:
            return read_reply(received.status, received.headers, received.content)
        except asyncio.TimeoutError:
            raise Transient(TIMEOUT, "no answer within the time-out of a request") from None
        except aiohttp.ClientError as error:
            raise Transient("connection", presentable(str(error), self._key)) from None
        raise Unscored("malformed", "DashScope's client made no request")


class Received(Exception):
    """A whole HTTP response. The SDK would read it, and fail at whatever it does not expect there."""

    def __init__(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers
        self.content = content


async def receive(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Takes a response before the SDK reads it."""
    response = await handler(request)
    raise Received(response.status, response.headers, await response.read())


def _copy(value: Any) -> Any:
    """The SDK changes the headers that it is given."""
    return dict(value) if isinstance(value, dict) else value
