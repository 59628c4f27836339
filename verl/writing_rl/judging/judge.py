"""The interface of a judge, and the judge that is a chat model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from writing_rl.judging import prompts
from writing_rl.judging.client.chat_model import Answer, Messages
from writing_rl.judging.client.model import Model
from writing_rl.judging.client.request_queue import Deadline


@dataclass(frozen=True)
class Question:
    """Two answers to one writing task, in the order in which the judge sees them.

    Attributes:
        prompt: The writing task.
        answer_a: The text shown first.
        answer_b: The text shown second.
        criteria: What to judge by, or None for the default.
        unread: The judge's earlier answer to the same question, where it holds no verdict; empty at first.
    """

    prompt: str
    answer_a: str
    answer_b: str
    criteria: str | None = None
    unread: str = ""


@dataclass(frozen=True)
class Templates:
    """The judge's instructions.

    Attributes:
        default: For samples without criteria of their own.
        with_criteria: For samples with criteria.
        ask_again: What is said to an answer without a verdict.
    """

    default: str
    with_criteria: str
    ask_again: str

    _NEEDED = frozenset({"prompt", "answer_a", "answer_b"})

    def __post_init__(self) -> None:
        prompts.check_template("JUDGE_PROMPT", self.default, self._NEEDED)
        prompts.check_template("JUDGE_PROMPT_WITH_CRITERIA", self.with_criteria, self._NEEDED | {"criteria"})

    @property
    def fingerprint(self) -> str:
        """What tells these instructions from others."""
        return prompts.fingerprint(self.default, self.with_criteria, self.ask_again)

    def messages(self, question: Question) -> Messages:
        """The chat messages that ask a question."""
        texts = {"prompt": question.prompt, "answer_a": question.answer_a, "answer_b": question.answer_b}
        template = self.default
        if question.criteria is not None:
            template, texts["criteria"] = self.with_criteria, question.criteria
        return prompts.messages(template, texts, question.unread, self.ask_again)


class Judge(Protocol):
    """Answers a question with a text that holds a verdict token."""

    #: Its name in transcripts and reports.
    name: str

    #: One line about the judge for logs and reports.
    description: str

    async def answer(self, question: Question, deadline: Deadline) -> Answer:
        """The judge's answer.

        Args:
            question: What is asked.
            deadline: How long that may take.

        Raises:
            Unscored: No answer could be had for this question.
            JudgeError: No question can be answered (wrong key, unknown model, budget spent).
        """
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...


class ModelJudge:
    """A judge that is a chat model."""

    def __init__(self, name: str, model: Model, templates: Templates) -> None:
        self.name = name
        self.description = model.description
        self._model = model
        self._templates = templates

    async def answer(self, question: Question, deadline: Deadline) -> Answer:
        """See `Judge.answer`."""
        return await self._model.complete(self._templates.messages(question), deadline)

    @property
    def learnt(self) -> Mapping[str, Any]:
        """See `Chat.learnt`."""
        return self._model.learnt

    async def close(self) -> None:
        """See `Judge.close`."""
        await self._model.close()


def load_templates() -> Templates:
    """The templates of `judge_prompts.py` for comparing texts."""
    return Templates(*prompts.load("JUDGE_PROMPT", "JUDGE_PROMPT_WITH_CRITERIA", "ASK_AGAIN"))
