"""Any OpenAI-compatible endpoint: OpenAI, self-hosted vLLM or SGLang, a judge that verl serves, many more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
import orjson

from writing_rl.errors import SettingError, Transient, Unscored, WritingRLError
from writing_rl.judging.channel import TIMEOUT
from writing_rl.judging.chat import Answer, Messages
from writing_rl.judging.providers.answers import answer_of, text_of
from writing_rl.judging.providers.billing import counted, read_usage
from writing_rl.judging.providers.failures import failure_of, presentable
from writing_rl.judging.providers.http import Connections, Transport
from writing_rl.judging.providers.keys import read_key
from writing_rl.settings import JudgeSettings

KEY_VARIABLE = "OPENAI_API_KEY"

#: Where OpenAI is. Said, because the client would read OPENAI_BASE_URL by itself.
OPENAI_URL = "https://api.openai.com/v1"


class OpenAICompatibleChat:
    """Asks one model; the client is made once and keeps its connections.

    The key comes from the environment alone. An endpoint of one's own that wants none gets the word `none`.
    """

    def __init__(
        self, model: str, base_url: str | None, settings: JudgeSettings, *, own_server: bool = False
    ) -> None:
        """Connects to nothing yet.

        Args:
            model: Its name at the endpoint.
            base_url: The endpoint; None is OpenAI.
            settings: Sampling and time-outs.
            own_server: Whether this project or verl has started the server: no proxy stands before it.

        Raises:
            SettingError: OpenAI is asked, and there is no key; or a proxy or certificates cannot be used.
        """
        self._key = "" if settings.keyless else read_key(KEY_VARIABLE)
        if not self._key and not base_url:
            raise SettingError(
                f"model {model} needs a key: set {KEY_VARIABLE}, or OPENAI_BASE_URL for an "
                "endpoint of your own, or JUDGE_MODEL=offline to try the system without a judge model"
            )
        self._model = model
        self._sampling: dict[str, Any] = {
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
        }
        address = base_url or OPENAI_URL
        self.description = f"{model} at {urlsplit(address).hostname}"
        connections = Connections(
            address, self.description, self._key, timeout_s=settings.request_timeout_s, own_server=own_server
        )
        self.description += connections.through
        self._client = openai.AsyncOpenAI(
            api_key=self._key or "none",
            base_url=address,
            max_retries=0,  # `Channel` asks again, with one deadline and without holding a slot meanwhile
            # aiohttp below it takes two thirds of the CPU that a request costs with httpcore, the default.
            http_client=httpx2.AsyncClient(
                transport=Transport(connections),
                headers={"Accept-Encoding": "identity"},
                timeout=None,  # the connections have one
                trust_env=False,
            ),
        )
        # Whole, or the client would put address and path together for each request.
        self._url = str(self._client.base_url.join("chat/completions"))
        self.identity = f"openai {self._client.base_url} {model} {self._sampling}"

    async def close(self) -> None:
        """See `Chat.close`."""
        await self._client.close()

    async def complete(self, messages: Messages) -> Answer:
        """See `Chat.complete`."""
        # `post` and not `chat.completions.create`, which takes as long as the request itself to give question
        # and answer types that nobody reads. orjson writes the JSON in a fiftieth of the time.
        body = orjson.dumps({"model": self._model, "messages": messages, **self._sampling})
        try:
            response = await self._client.post(self._url, cast_to=httpx2.Response, content=body)
            completion = response.json()
        except openai.APIStatusError as error:
            raise failure_of(
                error.status_code,
                str(getattr(error, "code", None) or ""),
                presentable(error.message, self._key),
                error.response.headers,
                judge=self.description,
                key_variable=KEY_VARIABLE,
            ) from None
        except openai.APIConnectionError as error:
            # `Connections` tells a cut connection from a time-out; the client does not (openai 3.52).
            for cause in _causes(error):
                if isinstance(cause, WritingRLError):
                    raise cause from None
                if isinstance(cause, TimeoutError):
                    raise Transient(TIMEOUT, "no answer within the time-out of a request") from None
            raise Unscored("malformed", presentable(str(error.__cause__ or error), self._key)) from None
        except (openai.APIError, ValueError):
            raise Unscored("malformed", "the model's endpoint answered something that is not JSON") from None
        return self._read(completion)

    def _read(self, completion: Any) -> Answer:
        """What an answer in the form of the API says; endpoints are not all what they claim to be."""
        try:
            choice = completion["choices"][0]
            message = choice["message"]
            content, refusal, ending = message["content"], message.get("refusal"), choice.get("finish_reason")
            billed = read_usage(completion.get("usage"))
        except (AttributeError, IndexError, KeyError, TypeError):
            raise Unscored("malformed", "the model's endpoint answered without a message") from None
        if refusal:
            raise Unscored("refusal", presentable(str(refusal), self._key), tokens=billed[:2])
        return counted(answer_of(text_of(content), ending, billed[:2]), billed)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception, what caused it, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
