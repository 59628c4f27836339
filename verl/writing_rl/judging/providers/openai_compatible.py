"""Any OpenAI-compatible endpoint: OpenAI, self-hosted vLLM or SGLang, a judge that verl serves, many more."""

from __future__ import annotations

from typing import Any

import openai

from writing_rl.errors import SettingError, Transient, Unscored
from writing_rl.judging.chat import Answer, Messages
from writing_rl.judging.providers.failures import failure_of, presentable
from writing_rl.judging.providers.keys import read_key
from writing_rl.settings import JudgeSettings

KEY_VARIABLE = "OPENAI_API_KEY"

CONNECT_TIMEOUT_S = 10.0


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
        self._client = openai.AsyncOpenAI(
            api_key=self._key or "none",
            base_url=base_url,
            max_retries=0,  # `Channel` asks again, with one deadline and without holding a slot meanwhile
            # `Channel` cuts requests off; here it only matters that an address where nobody is fails soon.
            timeout=openai.Timeout(settings.request_timeout_s + 10, connect=CONNECT_TIMEOUT_S),
        )
        self.description = f"{model} at {self._client.base_url.host}"
        self.identity = f"openai {self._client.base_url} {model} {self._sampling}"

    async def close(self) -> None:
        """See `Chat.close`."""
        await self._client.close()

    async def complete(self, messages: Messages) -> Answer:
        """See `Chat.complete`."""
        try:
            completion = await self._client.chat.completions.create(
                model=self._model,
                messages=messages,  # type: ignore[arg-type]
                **self._sampling,
            )
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
            raise Transient("connection", presentable(str(error.__cause__ or error), self._key)) from None
        except (openai.APIError, ValueError):
            raise Unscored("malformed", "the judge's endpoint answered something that is not JSON") from None
        return self._read(completion)

    def _read(self, completion: object) -> Answer:
        """What an answer in the form of the API says; endpoints are not all what they claim to be."""
        try:
            choice = completion.choices[0]  # type: ignore[attr-defined]
            message = choice.message
            text = message.content
        except (AttributeError, IndexError, TypeError):
            raise Unscored("malformed", "the judge's endpoint answered without a message") from None
        ending = getattr(choice, "finish_reason", None)
        if ending == "content_filter":
            raise Unscored("content_filter", "the judge's provider withheld its answer")
        if refusal := getattr(message, "refusal", None):
            raise Unscored("refusal", presentable(str(refusal), self._key))
        if not text and ending != "length":  # a thinking model may use up its tokens before the first word
            raise Unscored("empty", "the judge answered nothing")
        usage = getattr(completion, "usage", None)
        return Answer(
            text or "",
            prompt_tokens=int(getattr(usage, "prompt_tokens", 0) or 0),
            completion_tokens=int(getattr(usage, "completion_tokens", 0) or 0),
            truncated=ending == "length",
        )
