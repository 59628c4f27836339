"""The judge `offline`: it measures texts, for trying the system without a key, and is no LLM judge."""

from __future__ import annotations

from writing_rl.judging.client.budget import Bill
from writing_rl.judging.client.chat_model import Answer
from writing_rl.judging.client.request_queue import Channel, Deadline
from writing_rl.judging.judge import Question
from writing_rl.judging.offline.measures import judge_text


class OfflineJudge:
    """Deterministic and free; answers in the form of an LLM judge, so that the whole path is exercised."""

    name = "offline"
    description = "the offline judge, which measures texts and is no LLM judge"

    def __init__(self, channel: Channel) -> None:
        """Is asked through a channel like any other judge: limits and the end of a run count for it too."""
        self._endpoint = channel.endpoint(self.description)

    async def answer(self, question: Question, deadline: Deadline) -> Answer:
        """See `Judge.answer`."""

        async def measure() -> Answer:
            return Answer(judge_text(question.prompt, question.answer_a, question.answer_b), cost_usd=0.0)

        return await self._endpoint.send(measure, Bill(calls=1), deadline)

    async def close(self) -> None:
        """Has no connections."""
