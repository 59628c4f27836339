"""What the clients of all providers have in common: parameters, and the reading of what comes back."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from writing_rl.judging.client.chat_model import Answer, Messages
from writing_rl.judging.providers.billing import counted
from writing_rl.judging.providers.failures import Fate, Reply, failure_of, row_of
from writing_rl.judging.providers.parameters import Parameters
from writing_rl.judging.settings import JudgeSettings
from writing_rl.util.console import say


class ProviderChat(ABC):
    """A model at a provider whose client makes a request and says what came back."""

    #: The OpenAI-compatible address of the provider, where its client asks at another one.
    compatible = ""
    #: What else to check where the key is refused.
    key_hint = ""

    def __init__(
        self, name: str, settings: JudgeSettings, *, description: str, place: str, key: str, key_variable: str
    ) -> None:
        """Connects to nothing yet.

        Args:
            name: The judge's name in the settings.
            settings: How judges are asked.
            description: One line for messages.
            place: Provider, address and model, as `identity` holds them.
            key: The key, which some endpoints repeat.
            key_variable: The environment variable that it comes from.
        """
        self.description = description
        self._parameters = Parameters(name, settings)
        self._place = place
        self._key = key
        self._key_variable = key_variable
        self._answered = False

    @property
    def identity(self) -> str:
        """See `Chat.identity`."""
        return f"{self._place} {self._parameters.sent}"

    @property
    def learnt(self) -> Mapping[str, Any]:
        """What refusals taught of parameters: a value, or None for one that is left out."""
        return self._parameters.learnt

    async def complete(self, messages: Messages) -> Answer:
        """See `Chat.complete`. A request whose parameters are refused is made again without them."""
        while True:
            sent = self._parameters.sent
            reply = await self._request(messages, sent)
            learnt = self._parameters.learn(
                reply, sent, judge=self.description, key=self._key, answered=self._answered
            )
            if learnt is None:
                break
            if learnt:
                say(f"[writing-rl] {learnt}", file=sys.stderr)
        error = failure_of(
            reply,
            judge=self.description,
            key_variable=self._key_variable,
            key=self._key,
            key_hint=self.key_hint,
            compatible=self.compatible,
            answered=self._answered,
        )
        if error is not None:
            raise error
        self._answered = True
        answer = Answer(reply.text, *reply.billed[:2], truncated=row_of(reply).fate is Fate.CUT)
        return counted(answer, reply.billed)

    @abstractmethod
    async def _request(self, messages: Messages, parameters: Mapping[str, Any]) -> Reply:
        """Makes a request.

        Raises:
            Transient: Nothing came back.
        """

    @abstractmethod
    async def close(self) -> None:
        """See `Chat.close`."""
