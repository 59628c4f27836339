"""A chat model as the rest of the project uses it: limited, priced and, if wanted, cached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from writing_rl.errors import Unscored, WritingRLError
from writing_rl.judging.client.budget import Bill
from writing_rl.judging.client.cache import Cache
from writing_rl.judging.client.chat_model import Answer, Chat, Messages
from writing_rl.judging.client.prices import Price, most_of, most_output_tokens
from writing_rl.judging.client.request_queue import Channel, Deadline


class Model:
    """Puts together what a request passes through: cache, channel and price."""

    def __init__(
        self,
        chat: Chat,
        channel: Channel,
        *,
        max_tokens: int,
        price: Price | None,
        cache: Cache | None = None,
        request: Mapping[str, Any] | None = None,
    ) -> None:
        """Has asked nothing yet.

        Args:
            chat: Who is asked.
            channel: How.
            max_tokens: Most tokens of an answer where `request` says nothing else, for what one can cost.
            price: What a token costs, or None where that is not known.
            cache: Where answers are kept.
            request: Fields of a request that the user set, which may cost as well.
        """
        self._chat = chat
        self._endpoint = channel.endpoint(chat.description)
        self._max_tokens = max_tokens
        self._longest = 0
        self._price = price
        self._cache = cache
        self._request = request or {}
        self.description = chat.description

    async def complete(self, messages: Messages, deadline: Deadline) -> Answer:
        """The model's answer; errors as those of `Endpoint.send`."""
        if self._cache and (known := await self._cache.get(self._chat.identity, messages)):
            return replace(known, cost_usd=0.0)
        request = {**self._chat.learnt, **self._request}
        written = max(self._longest, most_output_tokens(request, self._max_tokens))
        at_most = most_of(messages, written, self._price, request)
        answer = await self._endpoint.send(lambda: self._ask(messages, at_most), at_most, deadline)
        if self._cache:
            await self._cache.put(self._chat.identity, messages, answer)
        return answer

    @property
    def learnt(self) -> Mapping[str, Any]:
        """See `Chat.learnt`."""
        return self._chat.learnt

    async def close(self) -> None:
        """Closes connections."""
        await self._chat.close()

    async def _ask(self, messages: Messages, at_most: Bill) -> Answer:
        try:
            answer = await self._chat.complete(messages)
        except Unscored as error:
            if self._price and error.tokens:
                error.cost_usd = self._price.at_most(*error.tokens)  # what it was for is not known
            raise
        except WritingRLError:
            raise
        except Exception as error:
            # Whatever a client makes of an answer that nobody has thought of costs a comparison, not the run.
            raise Unscored("error", f"{type(error).__name__} in the judge's client") from None
        # An endpoint that goes beyond the limit it was given does so again.
        self._longest = max(self._longest, answer.completion_tokens)
        if self._price is None:
            return answer
        if not answer.prompt_tokens and not answer.completion_tokens:  # its provider does not count
            return replace(answer, cost_usd=at_most.cost_usd)
        cost_usd = self._price.of(
            answer.prompt_tokens,
            answer.completion_tokens,
            cached=answer.cached_tokens,
            stored=answer.stored_tokens,
            thought=answer.thinking_tokens,
        )
        return replace(answer, cost_usd=cost_usd)
