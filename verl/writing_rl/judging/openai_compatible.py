"""A judge behind an OpenAI-compatible endpoint: OpenAI, self-hosted vLLM or SGLang, and many more."""

from __future__ import annotations

import asyncio
import os
from typing import NamedTuple

import openai

from writing_rl.errors import JudgeError, SettingError, Unscored
from writing_rl.judging.judge import Answer, Question, Templates
from writing_rl.settings import JudgeSettings


class Endpoint(NamedTuple):
    """Where a model is asked.

    Attributes:
        url: The base URL; None is the client's own default, OpenAI.
        key_variable: The environment variable that holds the key.
    """

    url: str | None
    key_variable: str


OPENAI = Endpoint(None, "OPENAI_API_KEY")
#: DashScope's OpenAI-compatible endpoint, in the region that its own SDK asks by default.
DASHSCOPE = Endpoint("https://dashscope.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY")
#: Beginning of a model's name -> where it is asked; any other model is OpenAI's.
ENDPOINTS = {"qwen": DASHSCOPE}


def endpoint_of(model: str, base_url: str | None) -> Endpoint:
    """The endpoint of a model: the one that is set, or else the one that its name stands for."""
    if base_url:
        return Endpoint(base_url, OPENAI.key_variable)
    return next((end for name, end in ENDPOINTS.items() if model.lower().startswith(name)), OPENAI)


class OpenAICompatibleJudge:
    """Asks one model; the client is made once and keeps its connections.

    The key comes from the environment alone. A self-hosted endpoint that wants none gets the word `none`.
    """

    def __init__(self, settings: JudgeSettings, templates: Templates) -> None:
        url, self._key_variable = endpoint_of(settings.model, settings.base_url)
        key = os.environ.get(self._key_variable, "").strip()
        if not key and not settings.base_url:
            raise SettingError(
                f"judge {settings.model} needs a key: set {self._key_variable}, or OPENAI_BASE_URL for an "
                "endpoint of your own, or JUDGE_MODEL=offline to try the system without a judge model"
            )
        self._key = key
        self._settings = settings
        self._templates = templates
        # The client retries time-outs, 429 (honouring Retry-After) and 5xx with exponential backoff and
        # jitter.
        self._client = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=url,
            max_retries=settings.max_retries,
            timeout=settings.deadline_s,
        )
        self.description = f"{settings.model} at {self._client.base_url.host}"

    async def answer(self, question: Question) -> Answer:
        """The judge's answer; see `Judge.answer`."""
        try:
            request = self._client.chat.completions.create(
                model=self._settings.model,
                messages=self._templates.messages(question),  # type: ignore[arg-type]
                temperature=self._settings.temperature,
                max_tokens=self._settings.max_tokens,
            )
            # One deadline over all retries, which the client's own time-out is not.
            completion = await asyncio.wait_for(request, self._settings.deadline_s)
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise JudgeError(
                f"judge {self.description} refuses the key ({error.status_code}): check {self._key_variable}"
            ) from None
        except openai.NotFoundError as error:
            raise JudgeError(
                f"judge {self.description} is not there ({error.status_code}): "
                "check JUDGE_MODEL and OPENAI_BASE_URL"
            ) from None
        except (asyncio.TimeoutError, openai.APITimeoutError) as error:
            raise Unscored("timeout", f"no answer within {self._settings.deadline_s:g} s") from error
        except openai.APIStatusError as error:
            raise Unscored(f"http_{error.status_code}", self._presentable(error.message)) from None
        except openai.APIError as error:
            raise Unscored("connection", self._presentable(str(error))) from None
        except ValueError:
            raise Unscored("malformed", "the judge's endpoint answered something that is not JSON") from None
        try:
            text = completion.choices[0].message.content
        except (AttributeError, IndexError, TypeError):
            raise Unscored("malformed", "the judge's endpoint answered without a message") from None
        if not text:
            raise Unscored("empty", "the judge answered nothing")
        usage = completion.usage
        return Answer(
            text,
            prompt_tokens=int(getattr(usage, "prompt_tokens", 0) or 0),
            completion_tokens=int(getattr(usage, "completion_tokens", 0) or 0),
        )

    def _presentable(self, message: str) -> str:
        """An endpoint's error message without the key, which some endpoints repeat in it."""
        return (message.replace(self._key, "***") if self._key else message)[:200]
