"""The judge `offline`: it measures texts, for trying the system without a key, and is no LLM judge."""

from __future__ import annotations

from writing_rl.judging.judge import Answer, Question
from writing_rl.judging.offline import judge_text


class OfflineJudge:
    """Deterministic and free; answers in the form of an LLM judge, so that the whole path is exercised."""

    description = "the offline judge, which measures texts and is no LLM judge"

    async def answer(self, question: Question) -> Answer:
        """The judge's answer; see `Judge.answer`."""
        return Answer(judge_text(question.prompt, question.answer_a, question.answer_b))
