"""A judge behind an OpenAI-compatible endpoint: OpenAI, self-hosted vLLM or SGLang, and many more."""

from __future__ import annotations

import asyncio
import os

import openai

from writing_rl.errors import JudgeError, SettingError, Unscored
from writing_rl.judging.judge import Question, Templates
from writing_rl.settings import JudgeSettings

KEY_VARIABLE = "OPENAI_API_KEY"


class OpenAICompatibleJudge:
    """Asks one model; the client is made once and keeps its connections.

    The key comes from the environment variable `OPENAI_API_KEY` alone. A self-hosted endpoint that wants no
    key gets the word `none`.
    """

    def __init__(self, settings: JudgeSettings, templates: Templates) -> None:
        key = os.environ.get(KEY_VARIABLE)
        if not key and not settings.base_url:
            raise SettingError(
                f"judge {settings.model} needs a key: set {KEY_VARIABLE}, or OPENAI_BASE_URL for an "
                "endpoint of your own, or JUDGE_MODEL=offline to try the system without a judge model"
            )
        self._settings = settings
        self._templates = templates
        # The client retries time-outs, 429 (honouring Retry-After) and 5xx with exponential backoff and
        # jitter.
        self._client = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=settings.base_url,
            max_retries=settings.max_retries,
            timeout=settings.deadline_s,
        )
        self.description = f"{settings.model} at {self._client.base_url.host}"

    async def answer(self, question: Question) -> str:
        """The judge's text; see `Judge.answer`."""
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                completion = await self._client.chat.completions.create(
                    model=self._settings.model,
                    messages=self._templates.messages(question),  # type: ignore[arg-type]
                    temperature=self._settings.temperature,
                    max_tokens=self._settings.max_tokens,
                )
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise JudgeError(
                f"judge {self.description} refuses the key ({error.status_code}): check {KEY_VARIABLE}"
            ) from None
        except openai.NotFoundError as error:
            raise JudgeError(
                f"judge {self.description} is not there ({error.status_code}): "
                "check JUDGE_MODEL and OPENAI_BASE_URL"
            ) from None
        except (TimeoutError, openai.APITimeoutError) as error:
            raise Unscored("timeout", f"no answer within {self._settings.deadline_s:g} s") from error
        except openai.APIStatusError as error:
            raise Unscored(f"http_{error.status_code}", str(error.message)[:200]) from error
        except openai.APIError as error:
            raise Unscored("connection", str(error)[:200]) from error
        choice = completion.choices[0] if completion.choices else None
        if choice is None or not choice.message.content:
            raise Unscored("empty", "the judge answered nothing")
        return choice.message.content
