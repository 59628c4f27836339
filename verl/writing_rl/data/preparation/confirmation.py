"""Confirming the order of references by comparing neighbours, as the training will compare texts.

Grades are given to texts one by one; whether a judge that sees both finds the higher one better is another
question, and the one that the reward asks.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from writing_rl.data.ask_missing import AHEAD, billed, judged_with
from writing_rl.data.preparation.scoring import Reference
from writing_rl.data.preparation.training_set import Task
from writing_rl.data.stage_file import StageFile
from writing_rl.judging.call_forecast import CallForecast, of_pairs
from writing_rl.judging.client.request_queue import Channel
from writing_rl.judging.compare import judge_texts
from writing_rl.judging.factory import close_all, make_judges
from writing_rl.judging.judge import Judge, Templates
from writing_rl.judging.pairs import Pair
from writing_rl.judging.settings import JudgeSettings
from writing_rl.judging.verdict import Outcome, Strategy
from writing_rl.util.as_completed import as_answered


class Neighbours(NamedTuple):
    """Two references of a prompt, of which the first has the higher grade."""

    prompt: str
    criteria: str | None
    better: str
    worse: str

    @property
    def key(self) -> str:
        """What identifies the comparison."""
        return hashlib.sha256(json.dumps(self, ensure_ascii=False).encode("utf-8", "replace")).hexdigest()[
            :32
        ]


@dataclass
class Confirmed:
    """What came of it; adds up over prompts.

    Attributes:
        dropped: References that a better-graded one did not beat.
        unscored: Comparisons without a verdict; the grades alone decide there.
    """

    dropped: int = 0
    unscored: int = 0


@dataclass(frozen=True)
class Confirmation:
    """How the order is confirmed.

    Attributes:
        judges: Who is asked, and how; always in both orders, which must agree.
        templates: The instructions of the training.
        retry_unscored: Whether what an earlier start got no verdict for is asked again.
    """

    judges: JudgeSettings
    templates: Templates
    retry_unscored: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """What makes a verdict what it is."""
        return judged_with("confirmations", self.judges, self.templates.fingerprint)

    def stage(self, path: Path, inputs: Sequence[Path]) -> StageFile[Outcome]:
        """The file of the comparisons."""
        forget = _is_unscored if self.retry_unscored else (lambda _: False)
        return StageFile(path, self.settings, inputs, {}, _kept, forget=forget)


def calls_of(
    neighbours: Sequence[Neighbours], confirmation: Confirmation, stage: StageFile[Outcome]
) -> CallForecast:
    """The calls that comparisons take which are not made yet, at most: ties and duplicates leave some out.

    Args:
        neighbours: Texts that may be compared, in the number and length of those that will be.
        confirmation: How.
        stage: The file of the comparisons, open.

    Raises:
        SettingError: A budget is set and the price of a judge not known.
    """
    left = neighbours[len(stage.found) :]
    pairs = [Pair(number, n.prompt, n.better, n.worse, n.criteria) for number, n in enumerate(left)]
    orders = len(Strategy.BOTH.policy_slots)
    return of_pairs(pairs, confirmation.judges, confirmation.templates, orders)


async def confirm(
    tasks: Sequence[Task], confirmation: Confirmation, channel: Channel, stage: StageFile[Outcome]
) -> tuple[list[Task], Confirmed]:
    """Drops the references whose place a comparison does not confirm.

    Args:
        tasks: Prompts with their references, the worst first.
        confirmation: How they are compared.
        channel: This process's way to the judges.
        stage: The file of the comparisons, open.

    Returns:
        The prompts with the references that are left, and what was dropped.

    Raises:
        BudgetSpent: What was begun and paid for by then is in the file.
        JudgeError: Nothing can be judged. What has ended by then is in the file.
    """
    from tqdm import tqdm

    settings = replace(confirmation.judges, strategy=Strategy.BOTH)
    judges = make_judges(settings, confirmation.templates, channel)
    compare = functools.partial(_compare, judges=judges, settings=settings, stage=stage)
    confirmed = Confirmed()

    async def work(item: tuple[int, Task]) -> list[Reference]:
        raw = item[1].raw
        return await confirmed_references(
            item[1].references,
            lambda better, worse: compare(Neighbours(raw.prompt, raw.criteria, better.text, worse.text)),
            confirmed,
        )

    left: dict[int, list[Reference]] = {}
    try:
        with tqdm(disable=None, total=len(tasks), unit="prompt") as bar:
            async for (place, _), references in as_answered(
                enumerate(tasks), work, AHEAD * settings.parallel
            ):
                left[place] = references
                bar.update()
    finally:
        await close_all(judges)
    return [replace(task, references=left[place]) for place, task in enumerate(tasks)], confirmed


async def confirmed_references(
    references: Sequence[Reference],
    compare: Callable[[Reference, Reference], Awaitable[Outcome]],
    confirmed: Confirmed,
) -> list[Reference]:
    """Goes from the best reference down, and keeps each that the last one kept beats.

    So the best one always stays, and every step up is one that a judge can see.

    Args:
        references: The worst first.
        compare: The outcome of the first of two.
        confirmed: Counts what is dropped.

    Returns:
        Those that are kept, the worst first.
    """
    kept = list(references[-1:])
    for candidate in reversed(references[:-1]):
        outcome = await compare(kept[-1], candidate)
        if outcome in (Outcome.TIE, Outcome.LOSS):
            confirmed.dropped += 1
            continue
        confirmed.unscored += outcome is Outcome.UNSCORED
        kept.append(candidate)
    kept.reverse()
    return kept


async def _compare(
    pair: Neighbours, *, judges: Sequence[Judge], settings: JudgeSettings, stage: StageFile[Outcome]
) -> Outcome:
    """The outcome of the better one, of this start or of an earlier one."""
    if (known := stage.found.get(pair.key)) is not None:
        return known
    comparison = await judge_texts(
        judges, settings.rules, pair.prompt, pair.better, pair.worse, pair.criteria
    )
    stage.add(
        pair.key,
        {
            "outcome": comparison.outcome.value,
            "reason": comparison.reason,
            "detail": comparison.detail,
            **billed(call.answer for call in comparison.calls),
            "prompt": pair.prompt[:200],
            "better": pair.better[:200],
            "worse": pair.worse[:200],
        },
    )
    return comparison.outcome


def _is_unscored(entry: Mapping[str, Any]) -> bool:
    return _kept(entry) is Outcome.UNSCORED


def _kept(entry: Mapping[str, Any]) -> Outcome:
    return Outcome(entry["outcome"])
