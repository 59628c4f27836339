"""The interface of a judge, and the table that turns a model name into one."""

from __future__ import annotations

import runpy
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from writing_rl.errors import Unscored
from writing_rl.judging import prompts
from writing_rl.settings import JudgeSettings

#: The reason of a comparison that was not made because the run is being ended.
STOPPED = "stopped"


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
class Answer:
    """What a judge says.

    Attributes:
        text: Its whole text; the verdict is read from it.
        prompt_tokens: Tokens that it read, or 0 where its provider does not say.
        completion_tokens: Tokens that it wrote, likewise.
        latency_s: Seconds from the request to the answer, retries included.
    """

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_s: float = 0.0


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

    def messages(self, question: Question) -> list[dict[str, str]]:
        """The chat messages that ask a question."""
        values = {"prompt": question.prompt, "answer_a": question.answer_a, "answer_b": question.answer_b}
        if question.criteria is None:
            text = prompts.fill(self.default, values)
        else:
            text = prompts.fill(self.with_criteria, {**values, "criteria": question.criteria})
        messages = [{"role": "user", "content": text}]
        if question.unread:
            messages.append({"role": "assistant", "content": question.unread})
            messages.append({"role": "user", "content": self.ask_again})
        return messages


class Judge(Protocol):
    """Answers a question with a text that holds a verdict token."""

    #: One line about the judge for logs and reports.
    description: str

    async def answer(self, question: Question) -> Answer:
        """The judge's answer.

        Raises:
            Unscored: No answer could be had for this question.
            JudgeError: No question can be answered (wrong key, unknown model).
        """
        ...


class LimitedJudge:
    """A judge with a limit on the requests in flight, and an end.

    Attributes:
        closed: Whether nothing more is asked. Requests in flight come to their end.
    """

    def __init__(self, judge: Judge, slots: AbstractAsyncContextManager[None]) -> None:
        """Has asked nothing yet.

        Args:
            judge: The judge.
            slots: What a request holds while it is in flight: an `asyncio.Semaphore` for the limit of one
                process, `SharedSlots` for that of a run.
        """
        self._judge = judge
        self._slots = slots
        self.description = judge.description
        self.closed = False

    async def answer(self, question: Question) -> Answer:
        """The judge's answer, once there is room for one more request; see `Judge.answer`.

        Raises:
            Unscored: The reason is `stopped` where the judge was closed before there was room.
        """
        async with self._slots:
            if self.closed:
                raise Unscored(STOPPED)
            asked = time.monotonic()
            answer = await self._judge.answer(question)
            return replace(answer, latency_s=time.monotonic() - asked)


def load_templates() -> Templates:
    """The templates of `verl/utils/reward_score/judge_prompts.py`, for programs that need nothing of verl.

    Importing the file under its own name would import verl, which takes seconds.
    """
    package = Path(__file__).parents[1]  # `verl/writing_rl` in the repository, `writing_rl` where installed
    places = (package.parent / "utils", package.parent / "verl" / "utils")
    files = [place / "reward_score" / "judge_prompts.py" for place in places]
    names = runpy.run_path(str(next(file for file in files if file.is_file())))
    return Templates(names["JUDGE_PROMPT"], names["JUDGE_PROMPT_WITH_CRITERIA"], names["ASK_AGAIN"])


def make_judge(settings: JudgeSettings, templates: Templates) -> Judge:
    """Makes the judge that the settings name.

    Raises:
        SettingError: No judge is set, or its key is missing.
    """
    # Imported here: the offline judge needs no HTTP client, and the scripts that only need one of them
    # start faster.
    if settings.model == "offline":
        from writing_rl.judging.offline_judge import OfflineJudge

        return OfflineJudge()
    from writing_rl.judging.openai_compatible import OpenAICompatibleJudge

    return OpenAICompatibleJudge(settings, templates)
