"""Grading responses by a judge: the stage between raw responses and their order.

Each line of the stage's file is one answer of one judge about one text, so that a start after a kill asks for
what is missing and no more.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from writing_rl.data.ask_missing import ask_for, billed, judged_with
from writing_rl.data.stage_file import StageFile
from writing_rl.errors import SettingError
from writing_rl.judging.call_forecast import BYTES_A_TOKEN, TEXT_TOKENS, CallForecast
from writing_rl.judging.client.request_queue import Channel
from writing_rl.judging.factory import make_models
from writing_rl.judging.grade import (
    GradeQuestion,
    Grader,
    GradeTemplates,
    ModelGrader,
    OfflineGrader,
    grade,
)
from writing_rl.judging.settings import JudgeSettings

#: How much of a judge's words is kept.
CHARACTERS = 2000


class Text(NamedTuple):
    """A text that is to be graded, as an answer to a prompt, by criteria or the default ones."""

    prompt: str
    text: str
    criteria: str | None


class Line(NamedTuple):
    """What is kept in memory of a line: the grade, or None and the reason."""

    grade: float | None
    reason: str
    detail: str


@dataclass(frozen=True)
class Grading:
    """How texts are graded.

    Attributes:
        judges: Who is asked, and how.
        templates: The instructions.
        samples: Answers of each judge about a text; their mean counts.
        retry_ungraded: Whether what an earlier start could not get a grade for is asked again.
    """

    judges: JudgeSettings
    templates: GradeTemplates
    samples: int = 1
    retry_ungraded: bool = False

    def __post_init__(self) -> None:
        if self.samples > 1 and self.judges.temperature == 0:
            raise SettingError(
                f"{self.samples} grades at temperature 0 are the same one: set --grade-temperature above 0"
            )

    @property
    def settings(self) -> dict[str, Any]:
        """What makes a grade what it is; grades of different settings are on different scales."""
        return judged_with("grades", self.judges, self.templates.fingerprint)

    def stage(self, path: Path, inputs: Sequence[Path]) -> StageFile[Line]:
        """The file of the grades."""
        forget = (lambda entry: entry["grade"] is None) if self.retry_ungraded else (lambda _: False)
        return StageFile(path, self.settings, inputs, {"samples": self.samples}, _kept, forget=forget)


@dataclass(frozen=True)
class Grades:
    """What is known of the texts' quality.

    Attributes:
        of: The grade of each text that has one, from 1 to 10.
        ungraded: Reasons for which a text has none, and how often each came up.
        detail: What else is known of the latest of them.
    """

    of: Mapping[Text, float]
    ungraded: Counter[str]
    detail: str = ""


class Graders:
    """Those who are asked, by name. They are made before anything is paid for, since a key may be missing."""

    def __init__(self, grading: Grading, channel: Channel) -> None:
        """Asks nothing yet.

        Args:
            grading: Who is asked, and how.
            channel: This process's way to them.

        Raises:
            SettingError: A judge lacks what it needs, such as a key or, with a budget, a price.
        """
        self._models = make_models(grading.judges, channel)
        self._graders: dict[str, Grader] = {
            name: ModelGrader(model, grading.templates) if model else OfflineGrader(channel)
            for name, model in self._models.items()
        }

    def __getitem__(self, name: str) -> Grader:
        return self._graders[name]

    async def aclose(self) -> None:
        """Closes their connections; see `contextlib.aclosing`."""
        for model in self._models.values():
            if model:
                await model.close()


async def grade_texts(
    texts: Iterable[Text], grading: Grading, graders: Graders, stage: StageFile[Line]
) -> Grades:
    """Has graded what is not graded yet.

    Args:
        texts: What; the same text twice is graded once.
        grading: How.
        graders: By whom.
        stage: The file of the grades, open.

    Raises:
        BudgetSpent: What was begun and paid for by then is in the file.
        JudgeError: Nothing can be graded. What has ended by then is in the file.
    """
    texts = dict.fromkeys(texts)
    questions = {
        key_of(text, judge, sample): (text, judge)
        for text in texts
        for judge in grading.judges.models
        for sample in range(grading.samples)
    }
    ask = functools.partial(_ask, graders=graders, grading=grading)
    await ask_for(questions, ask, stage, parallel=grading.judges.parallel, unit="grade")
    return _together(texts, grading, stage.found)


def calls_of(
    texts: Iterable[Text],
    grading: Grading,
    stage: StageFile[Line],
    unwritten: Iterable[tuple[str, str | None]] = (),
) -> CallForecast:
    """The calls that the grades take which are not there yet.

    Args:
        texts: What is graded.
        grading: How.
        stage: The file of the grades, open.
        unwritten: Prompts and criteria of texts that are graded as well once they are written.

    Raises:
        SettingError: A budget is set and the price of a judge not known.
    """
    forecast = CallForecast("grades")
    forecast.include(grading.judges)
    for text in dict.fromkeys(texts):
        messages = grading.templates.messages(GradeQuestion(*text))
        for judge in grading.judges.models:
            missing = sum(key_of(text, judge, n) not in stage.found for n in range(grading.samples))
            forecast.add(judge, messages, missing)
    for prompt, criteria in unwritten:
        question = GradeQuestion(prompt, "x" * (TEXT_TOKENS * BYTES_A_TOKEN), criteria)
        forecast.add_to_all(grading.templates.messages(question), grading.samples)
    return forecast


def key_of(text: Text, judge: str, sample: int) -> str:
    """What identifies an answer of a judge about a text."""
    said = json.dumps([judge, sample, *text], ensure_ascii=False)
    return hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:32]


async def _ask(question: tuple[Text, str], *, graders: Graders, grading: Grading) -> dict[str, Any]:
    """The line of a question."""
    text, judge = question
    asked = GradeQuestion(*text)
    # The offline judge gives one grade, whatever the criteria.
    is_model = isinstance(graders[judge], ModelGrader)
    graded = await grade(
        graders[judge],
        asked,
        number=grading.templates.number(asked) if is_model else None,
        deadline_s=grading.judges.deadline_s,
        ask_again=grading.judges.ask_again,
    )
    return {
        "judge": judge,
        "grade": graded.grade,
        "grades": graded.grades,
        "reason": graded.reason,
        "detail": graded.detail,
        **billed(graded.answers),
        "prompt": text.prompt[:200],
        "text": text.text[:200],
        "judge_text": graded.answers[-1].text[:CHARACTERS] if graded.answers else "",
    }


def _together(texts: Iterable[Text], grading: Grading, found: Mapping[str, Line]) -> Grades:
    """Each text's grade: the mean of its judges', each the mean of that judge's answers.

    A text whose judge gave a grade in half of its answers or fewer has none: a mean over those that happened
    to work would be of another kind than the others.
    """
    grades: dict[Text, float] = {}
    ungraded: Counter[str] = Counter()
    detail = ""
    for text in texts:
        means = []
        for judge in grading.judges.models:
            lines = [found[key_of(text, judge, sample)] for sample in range(grading.samples)]
            given = [line.grade for line in lines if line.grade is not None]
            if 2 * len(given) <= grading.samples:
                failed = next(line for line in lines if line.grade is None)
                ungraded[failed.reason] += 1
                detail = failed.detail or detail
                break
            means.append(math.fsum(given) / len(given))
        else:
            grades[text] = math.fsum(means) / len(means)
    return Grades(grades, ungraded, detail)


def _kept(entry: Mapping[str, Any]) -> Line:
    value = entry["grade"]
    return Line(None if value is None else float(value), entry["reason"], entry["detail"])


def mean_by_model(scored: Iterable[tuple[str | None, float]]) -> list[tuple[str, float, int]]:
    """Each model's mean grade and number of texts, the best model first; texts of nobody are left out."""
    by_model: defaultdict[str, list[float]] = defaultdict(list)
    for model, score in scored:
        if model is not None:
            by_model[model].append(score)
    means = [(model, math.fsum(scores) / len(scores), len(scores)) for model, scores in by_model.items()]
    return sorted(means, key=lambda entry: -entry[1])
