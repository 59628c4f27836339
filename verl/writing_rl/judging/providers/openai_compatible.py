"""Any OpenAI-compatible endpoint: OpenAI, self-hosted vLLM or SGLang, a judge that verl serves, many more."""

from __future__ import annotations

import math
from typing import Any

import httpx2
import openai

from writing_rl.errors import SettingError, Transient, Unscored
from writing_rl.judging.chat import Answer, Messages
from writing_rl.judging.providers.answers import answer_of, text_of, tokens_of
from writing_rl.judging.providers.failures import NOTHING_BILLED, failure_of, presentable
from writing_rl.judging.providers.keys import read_key
from writing_rl.settings import JudgeSettings

KEY_VARIABLE = "OPENAI_API_KEY"

CONNECT_TIMEOUT_S = 10.0
#: Connections that a pool holds when all requests that are allowed are in flight.
CONNECTIONS_OF_A_POOL = 8


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
        self._key = read_key(KEY_VARIABLE)
        if not self._key and not base_url:
            raise SettingError(
                f"judge {model} needs a key: set {KEY_VARIABLE}, or OPENAI_BASE_URL for an "
                "endpoint of your own, or JUDGE_MODEL=offline to try the system without a judge model"
            )
        self._model = model
        self._sampling: dict[str, Any] = {
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
        }
        # A pool of connections looks at each idle one for every request, so several small pools cost less.
        clients = [
            openai.AsyncOpenAI(
                api_key=self._key or "none",
                base_url=base_url,
                max_retries=0,  # `Channel` asks again, with one deadline and without holding a slot meanwhile
                # `Channel` gives requests up; here it matters that an address where nobody is fails soon.
                timeout=openai.Timeout(settings.request_timeout_s + 10, connect=CONNECT_TIMEOUT_S),
            )
            for _ in range(math.ceil(settings.parallel / CONNECTIONS_OF_A_POOL))
        ]
        self._clients = clients
        self._busy = [0] * len(clients)
        self.description = f"{model} at {clients[0].base_url.host}"
        self.identity = f"openai {clients[0].base_url} {model} {self._sampling}"

    async def close(self) -> None:
        """See `Chat.close`."""
        for client in self._clients:
            await client.close()

    async def complete(self, messages: Messages) -> Answer:
        """See `Chat.complete`."""
        # `post` and not `chat.completions.create`, which takes as long as the request itself to give question
        # and answer types that nobody reads.
        body = {"model": self._model, "messages": messages, **self._sampling}
        # The first that has room: its connections are the likeliest to be open.
        pool = next((pool for pool, busy in enumerate(self._busy) if busy < CONNECTIONS_OF_A_POOL), 0)
        self._busy[pool] += 1
        try:
            response = await self._clients[pool].post("/chat/completions", cast_to=httpx2.Response, body=body)
            completion = response.json()
        except openai.APITimeoutError as error:
            raise Transient("timeout", "no answer within the time-out of a request") from error
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
            never_sent = isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)
            raise Transient(
                "connection",
                presentable(str(error.__cause__ or error), self._key),
                tokens=NOTHING_BILLED if never_sent else None,
            ) from None
        except (openai.APIError, ValueError):
            raise Unscored("malformed", "the judge's endpoint answered something that is not JSON") from None
        finally:
            self._busy[pool] -= 1
        return self._read(completion)

    def _read(self, completion: Any) -> Answer:
        """What an answer in the form of the API says; endpoints are not all what they claim to be."""
        try:
            choice = completion["choices"][0]
            message = choice["message"]
            content, refusal, ending = message["content"], message.get("refusal"), choice.get("finish_reason")
            usage = completion.get("usage") or {}
            tokens = tokens_of(usage.get("prompt_tokens")), tokens_of(usage.get("completion_tokens"))
        except (AttributeError, IndexError, KeyError, TypeError):
            raise Unscored("malformed", "the judge's endpoint answered without a message") from None
        if refusal:
            raise Unscored("refusal", presentable(str(refusal), self._key), tokens=tokens)
        return answer_of(text_of(content), ending, tokens)
