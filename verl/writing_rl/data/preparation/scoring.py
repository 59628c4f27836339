"""Where the scores of responses come from: each way is a function from prompts to scored prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from writing_rl.data.grading import Grades, Text
from writing_rl.data.preparation.raw_prompts import RawPrompt
from writing_rl.errors import DataError, SettingError


@dataclass(frozen=True, slots=True)
class Reference:
    """A response whose quality is known.

    Attributes:
        text: The text.
        score: Its quality; what counts is the order within a prompt, and the distance for `tie_margin`.
        model: Who wrote it, where that is known.
    """

    text: str
    score: float
    model: str | None


@dataclass(frozen=True, slots=True)
class ScoredPrompt:
    """A prompt whose responses all have a score, in the order of the input."""

    raw: RawPrompt
    references: Sequence[Reference]


#: All prompts at once, so that a way that asks a model can ask many questions at a time.
Scoring = Callable[[Sequence[RawPrompt]], Sequence[ScoredPrompt]]


def given_scores(prompts: Sequence[RawPrompt]) -> list[ScoredPrompt]:
    """Takes the scores that the input gives.

    Raises:
        DataError: A response has none; the message names its line.
    """
    scored = []
    for prompt in prompts:
        references = []
        for response in prompt.responses:
            if response.score is None:
                who = f" of {response.model}" if response.model else ""
                raise DataError(
                    f"{response.place}: a response{who} has no 'score': give one to every response, "
                    "have them graded with --scores grade, or rank the models that wrote them with "
                    "--model-order weak,…,strong"
                )
            references.append(Reference(response.text, response.score, response.model))
        scored.append(ScoredPrompt(prompt, references))
    return scored


def by_model_order(models: Sequence[str]) -> Scoring:
    """Makes a way of scoring in which the rank of the response's model is its score, from 0.

    Args:
        models: The models, the weakest first.

    Raises:
        SettingError: The order is empty or names a model twice.
    """
    ranks = {name: float(rank) for rank, name in enumerate(models)}
    if not ranks or "" in ranks or len(ranks) < len(models):
        raise SettingError(f"--model-order is {','.join(models)!r}: name each model once, the weakest first")

    def score(prompts: Sequence[RawPrompt]) -> list[ScoredPrompt]:
        scored = []
        for prompt in prompts:
            references = []
            for response in prompt.responses:
                if response.model is None:
                    raise DataError(
                        f"{response.place}: a response has no 'model', so --model-order cannot rank it"
                    )
                if response.model not in ranks:
                    raise DataError(f"{response.place}: the model {response.model!r} is not in --model-order")
                references.append(Reference(response.text, ranks[response.model], response.model))
            scored.append(ScoredPrompt(prompt, references))
        return scored

    return score


def by_grades(grades: Grades) -> Scoring:
    """Makes a way of scoring in which a judge's grade is the score; what has no grade is left out.

    Args:
        grades: What is known of the texts.
    """

    def score(prompts: Sequence[RawPrompt]) -> list[ScoredPrompt]:
        scored = []
        for prompt in prompts:
            references = []
            for response in prompt.responses:
                grade = grades.of.get(Text(prompt.prompt, response.text, prompt.criteria))
                if grade is not None:
                    references.append(Reference(response.text, grade, response.model))
            scored.append(ScoredPrompt(prompt, references))
        return scored

    return score
