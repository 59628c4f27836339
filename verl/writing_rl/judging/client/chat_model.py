"""A chat model behind some provider: the one thing that a new provider has to implement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

#: Chat messages, each with `role` and `content`.
Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Answer:
    """What a model says.

    Attributes:
        text: Its whole text.
        prompt_tokens: Tokens that it read, or 0 where its provider does not say.
        completion_tokens: Tokens that it wrote, likewise, thinking included.
        truncated: Whether it was cut off at the limit of tokens.
        latency_s: Seconds from the request to the answer, of the try that was answered.
        cost_usd: What it cost, or None where the model's price is not known.
        cached: Whether it was taken from the cache, and so cost nothing now.
        cached_tokens: Tokens read that its provider had in a cache, and bills at another price.
        stored_tokens: Tokens read that its provider put into a cache, likewise.
        thinking_tokens: Tokens written that are thinking.
    """

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    truncated: bool = False
    latency_s: float = 0.0
    cost_usd: float | None = None
    cached: bool = False
    cached_tokens: int = 0
    stored_tokens: int = 0
    thinking_tokens: int = 0


class Chat(Protocol):
    """One model at one provider."""

    #: One line about the model for logs and reports, without secrets.
    description: str

    @property
    def identity(self) -> str:
        """What determines its answer besides the messages: provider, address, model, parameters."""
        ...

    @property
    def learnt(self) -> Mapping[str, Any]:
        """What its endpoint's refusals taught of parameters: a value, or None for one that is left out."""
        ...

    async def complete(self, messages: Messages) -> Answer:
        """Asks once; whoever calls asks again, counts and limits.

        Raises:
            Transient: It failed in a way that may pass: time-out, busy endpoint, cut connection.
            Unscored: It failed for these messages: refused, filtered, malformed.
            JudgeError: Nothing can be asked (wrong key, unknown model, no credit).
        """
        ...

    async def close(self) -> None:
        """Closes its connections; a later request opens new ones."""
        ...
