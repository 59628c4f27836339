"""Any OpenAI-compatible endpoint: OpenAI, Azure, vLLM or SGLang of one's own, a judge that verl serves."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import httpx2
import openai
import orjson

from writing_rl.errors import SettingError, Transient, WritingRLError
from writing_rl.judging.client.chat_model import Messages
from writing_rl.judging.client.request_queue import TIMEOUT
from writing_rl.judging.providers.answers import read_reply
from writing_rl.judging.providers.exchange import ProviderChat
from writing_rl.judging.providers.failures import Reply, presentable
from writing_rl.judging.providers.http import Connections, Transport
from writing_rl.judging.providers.keys import COMPATIBLE, read_key
from writing_rl.judging.settings import JudgeSettings

KEY_VARIABLE = "OPENAI_API_KEY"

#: Where OpenAI is. Said, because the client would read OPENAI_BASE_URL by itself.
OPENAI_URL = "https://api.openai.com/v1"
#: What hosts of Azure end in.
AZURE_HOSTS = (".azure.com", ".azure.us", ".azure.cn", ".azure-api.net")


class OpenAICompatibleChat(ProviderChat):
    """Asks one model; the client is made once and keeps its connections.

    The key comes from the environment alone. An endpoint of one's own that wants none gets the word `none`.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None,
        settings: JudgeSettings,
        *,
        own_server: bool = False,
        name: str = "",
    ) -> None:
        """Connects to nothing yet.

        Args:
            model: Its name at the endpoint.
            base_url: The endpoint; None is OpenAI.
            settings: Sampling and time-outs.
            own_server: Whether this project or verl has started the server: no proxy stands before it.
            name: Its name in the settings, where that is another.

        Raises:
            SettingError: OpenAI is asked, and there is no key; or a proxy or certificates cannot be used.
        """
        key = "" if settings.keyless else read_key(KEY_VARIABLE)
        if not key and not base_url:
            raise SettingError(_without_key(model))
        self._model = model
        address = base_url or OPENAI_URL
        description = f"{model} at {urlsplit(address).hostname}"
        self._connections = Connections(
            address, description, key, timeout_s=settings.request_timeout_s, own_server=own_server
        )
        azure = {"api-key": key, "Authorization": openai.Omit()}
        self._options = cast(Any, {"headers": azure} if is_azure(address) else {})
        self._client = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=address,
            max_retries=0,  # `Channel` asks again, with one deadline and without holding a slot meanwhile
            # aiohttp below it takes two thirds of the CPU that a request costs with httpcore, the default.
            http_client=httpx2.AsyncClient(
                transport=Transport(self._connections),
                headers={"Accept-Encoding": "identity"},
                timeout=None,  # the connections have one
                trust_env=False,
            ),
        )
        # Whole, or the client would put address and path together for each request, without the query.
        self._url = _completions_of(address)
        super().__init__(
            name or model,
            settings,
            description=description + self._connections.through,
            place=f"openai {self._client.base_url} {model}",
            key=key,
            key_variable=KEY_VARIABLE,
        )

    async def close(self) -> None:
        """See `Chat.close`."""
        await self._connections.close()

    async def _request(self, messages: Messages, parameters: Mapping[str, Any]) -> Reply:
        # `post` and not `chat.completions.create`, which takes as long as the request itself to give question
        # and answer types that nobody reads. orjson writes the JSON in a fiftieth of the time.
        body = orjson.dumps({"model": self._model, "messages": messages, **parameters})
        try:
            response = await self._client.post(
                self._url, cast_to=httpx2.Response, content=body, options=self._options
            )
        except openai.APIStatusError as error:
            response = error.response
        except openai.APIConnectionError as error:
            # `Connections` tells a cut connection from a time-out; the client does not (openai 3.52).
            for cause in _causes(error):
                if isinstance(cause, WritingRLError):
                    raise cause from None
                if isinstance(cause, TimeoutError):
                    raise Transient(TIMEOUT, "no answer within the time-out of a request") from None
            raise Transient("connection", presentable(str(error.__cause__ or error), self._key)) from None
        return read_reply(response.status_code, response.headers, response.content)


def is_azure(address: str) -> bool:
    """Whether an endpoint wants its key in Azure's header, as deployments do, also behind another host."""
    parts = urlsplit(address)
    deployment = "/deployments/" in parts.path or "api-version" in dict(parse_qsl(parts.query))
    return deployment or (parts.hostname or "").endswith(AZURE_HOSTS)


def _completions_of(address: str) -> str:
    """Where completions are at an endpoint, with the query of its address."""
    parts = urlsplit(address)
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return urlunsplit(parts._replace(path=f"{path}/chat/completions", fragment=""))


def _without_key(model: str) -> str:
    dashscope = (
        ", or, as DASHSCOPE_API_KEY is set and DashScope may have the model, ++writing_rl.judge.providers="
        f"{{{model}: dashscope}} (in tools OPENAI_BASE_URL={COMPATIBLE} and OPENAI_API_KEY to that key)"
    )
    return (
        f"model {model} needs a key: set {KEY_VARIABLE}, or OPENAI_BASE_URL for an endpoint of your own, or "
        "JUDGE_MODEL=offline to try the system without a judge model"
        + (dashscope if os.environ.get("DASHSCOPE_API_KEY", "").strip() else "")
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception, what caused it, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
