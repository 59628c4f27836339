"""Grading a single text by criteria: the question, the reading of its answer, and who answers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Protocol

from writing_rl.errors import Unscored
from writing_rl.judging import prompts
from writing_rl.judging.client.budget import Bill
from writing_rl.judging.client.chat_model import Answer, Messages
from writing_rl.judging.client.model import Model
from writing_rl.judging.client.request_queue import Channel, Deadline
from writing_rl.judging.offline.measures import score_text
from writing_rl.text.brackets import COMMA, GRADES, last_lines
from writing_rl.text.criteria import count_criteria

LOWEST, HIGHEST = 1.0, 10.0


@dataclass(frozen=True)
class GradeQuestion:
    """A text that is to be graded.

    Attributes:
        prompt: The writing task.
        text: What was written.
        criteria: What to grade by, or None for the default.
        unread: The judge's earlier answer to the same question, where it holds no grades; empty at first.
    """

    prompt: str
    text: str
    criteria: str | None = None
    unread: str = ""


@dataclass(frozen=True)
class GradeTemplates:
    """The instructions for grading.

    Attributes:
        prompt: The question.
        criteria: The criteria of samples without their own, numbered.
        ask_again: What is said to an answer without grades.
    """

    prompt: str
    criteria: str
    ask_again: str

    def __post_init__(self) -> None:
        prompts.check_template("GRADE_PROMPT", self.prompt, frozenset({"prompt", "text", "criteria"}))

    @property
    def fingerprint(self) -> str:
        """What tells these instructions from others."""
        return prompts.fingerprint(self.prompt, self.criteria, self.ask_again)

    def messages(self, question: GradeQuestion) -> Messages:
        """The chat messages that ask a question."""
        criteria = self.criteria if question.criteria is None else question.criteria
        texts = {"prompt": question.prompt, "text": question.text, "criteria": criteria.strip()}
        return prompts.messages(self.prompt, texts, question.unread, self.ask_again)

    def number(self, question: GradeQuestion) -> int | None:
        """How many grades an answer must hold; None where the criteria cannot be counted."""
        return count_criteria(self.criteria if question.criteria is None else question.criteria)


def load_grade_templates() -> GradeTemplates:
    """The templates of `judge_prompts.py` for grading."""
    return GradeTemplates(*prompts.load("GRADE_PROMPT", "GRADE_CRITERIA", "GRADE_AGAIN"))


def parse_grades(text: str, number: int | None = None) -> tuple[float, ...] | None:
    """Reads the grades from a judge's text, outside of its thinking.

    The last line with double brackets decides, and different grades in it are none, as with verdicts: a judge
    quotes the form that it was asked for before it fills it in. So nothing earlier is read, either, where
    that line holds no grades. See `brackets` for the forms of a token.

    Args:
        text: The judge's whole text.
        number: How many grades there must be; None for any number.

    Returns:
        The grades, each from 1 to 10, or None where there are none, or not such ones.
    """
    line = next((line for line in last_lines(text) if "[[" in line), "")
    tokens = GRADES.findall(line)
    found = {tuple(float(grade) for grade in COMMA.split(token)) for token in tokens}
    if len(found) != 1 or len(tokens) != line.count("[["):
        return None
    grades = found.pop()
    if number is not None and len(grades) != number:
        return None
    return grades if all(LOWEST <= grade <= HIGHEST for grade in grades) else None


def offline_grade(prompt: str, text: str) -> float:
    """What the offline judge thinks of a text, from 1 to 10."""
    return LOWEST + score_text(prompt, text).total / 10 * (HIGHEST - LOWEST)


class Grader(Protocol):
    """Answers a question with a text that holds grades."""

    async def answer(self, question: GradeQuestion, deadline: Deadline) -> Answer:
        """The judge's answer; errors as those of `Judge.answer`."""
        ...


@dataclass(frozen=True)
class ModelGrader:
    """A judge that is a chat model."""

    model: Model
    templates: GradeTemplates

    async def answer(self, question: GradeQuestion, deadline: Deadline) -> Answer:
        """See `Grader.answer`."""
        return await self.model.complete(self.templates.messages(question), deadline)


@dataclass(frozen=True)
class OfflineGrader:
    """The offline judge: it measures texts, knows no criteria, and gives one grade."""

    channel: Channel

    async def answer(self, question: GradeQuestion, deadline: Deadline) -> Answer:
        """See `Grader.answer`."""

        async def measure() -> Answer:
            grade = offline_grade(question.prompt, question.text)
            return Answer(
                f"This is the offline judge: it measures texts and is no LLM.\n[[{grade:.3f}]]", cost_usd=0.0
            )

        return await self.channel.endpoint("the offline judge").send(measure, Bill(calls=1), deadline)


@dataclass
class Graded:
    """What came of a question.

    Attributes:
        grades: A grade for each criterion; empty where there are none.
        reason: Why there are none, such as `timeout` or `no_grades`; empty otherwise.
        detail: What else is known of that.
        answers: The judge's answers, also those without grades.
    """

    grades: tuple[float, ...] = ()
    reason: str = ""
    detail: str = ""
    answers: list[Answer] = field(default_factory=list)

    @property
    def grade(self) -> float | None:
        """The mean of the grades, or None where there are none."""
        return math.fsum(self.grades) / len(self.grades) if self.grades else None


async def grade(
    grader: Grader, question: GradeQuestion, *, number: int | None, deadline_s: float, ask_again: int
) -> Graded:
    """Has a text graded.

    Args:
        grader: Who grades.
        question: What.
        number: How many grades there must be; None for any number.
        deadline_s: Seconds that it may take.
        ask_again: How often an answer without grades is answered with a request for them.

    Raises:
        JudgeError: Nothing can be graded, or the budget is spent.
    """
    graded, deadline = Graded(), Deadline.of(deadline_s)
    for _ in range(1 + ask_again):
        try:
            answer = await grader.answer(question, deadline)
        except Unscored as unscored:
            graded.reason, graded.detail = unscored.reason, unscored.detail
            return graded
        graded.answers.append(answer)
        # What is cut off has not come to its last line, and may only have quoted the form of grades.
        grades = None if answer.truncated else parse_grades(answer.text, number)
        if grades is not None:
            graded.grades = grades
            return graded
        question = replace(question, unread=answer.text)
    graded.reason = "truncated" if answer.truncated else "no_grades"
    graded.detail = f"the answer ends in {question.unread.strip()[-80:]!r}"
    return graded
