"""Any OpenAI-compatible endpoint: OpenAI, self-hosted vLLM or SGLang, a judge that verl serves, many more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import aiohttp
import httpx2
import openai
import orjson

from writing_rl.errors import SettingError, Transient, Unscored
from writing_rl.judging.channel import TIMEOUT
from writing_rl.judging.chat import Answer, Messages
from writing_rl.judging.providers.answers import answer_of, text_of
from writing_rl.judging.providers.billing import counted, read_usage
from writing_rl.judging.providers.failures import NOTHING_BILLED, failure_of, presentable
from writing_rl.judging.providers.keys import read_key
from writing_rl.settings import JudgeSettings

KEY_VARIABLE = "OPENAI_API_KEY"

CONNECT_TIMEOUT_S = 10.0
#: Seconds after which an idle connection is closed.
IDLE_S = 60.0


class OpenAICompatibleChat:
    """Asks one model; the client is made once and keeps its connections.

    The key comes from the environment alone. An endpoint of one's own that wants none gets the word `none`.
    """

    def __init__(self, model: str, base_url: str | None, settings: JudgeSettings) -> None:
        """Connects to nothing yet.

        Args:
            model: Its name at the endpoint.
            base_url: The endpoint; None is OpenAI.
            settings: Sampling and time-outs.

        Raises:
            SettingError: OpenAI is asked, and there is no key.
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
        self._client = openai.AsyncOpenAI(
            api_key=self._key or "none",
            base_url=base_url,
            max_retries=0,  # `Channel` asks again, with one deadline and without holding a slot meanwhile
            # `Channel` gives requests up; here it matters that an address where nobody is fails soon.
            timeout=openai.Timeout(settings.request_timeout_s + 10, connect=CONNECT_TIMEOUT_S),
            # Two thirds of the CPU that a request costs with httpcore, the default.
            http_client=openai.DefaultAioHttpClient(
                limits=httpx2.Limits(max_connections=settings.parallel, keepalive_expiry=IDLE_S)
            ),
        )
        # Whole, or the client would put address and path together for each request.
        self._url = str(self._client.base_url.join("chat/completions"))
        self.description = f"{model} at {self._client.base_url.host}"
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
            # The client takes a cut connection for a time-out (openai 3.52); its causes tell the two apart.
            causes = list(_causes(error))
            if isinstance(causes[-1], TimeoutError):
                raise Transient(TIMEOUT, "no answer within the time-out of a request") from None
            never_sent = any(isinstance(cause, aiohttp.ClientConnectorError) for cause in causes)
            raise Transient(
                "connection",
                presentable(str(causes[-1]), self._key),
                tokens=NOTHING_BILLED if never_sent else None,
            ) from None
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
