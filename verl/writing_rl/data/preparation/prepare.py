"""From raw prompts to a training set: what `writing-rl data prepare` does."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from writing_rl import __version__
from writing_rl.data.grading import Graders, Grading, Text, calls_of, grade_texts
from writing_rl.data.preparation.confirmation import Confirmation, Neighbours, confirm
from writing_rl.data.preparation.confirmation import calls_of as confirmation_calls
from writing_rl.data.preparation.raw_prompts import RawInput, read_raw_prompts
from writing_rl.data.preparation.references import Dropped, ReferenceRules, choose_references
from writing_rl.data.preparation.report import Prepared, nothing_left, summary
from writing_rl.data.preparation.scoring import Scoring, by_grades, by_model_order, given_scores
from writing_rl.data.preparation.split import SplitRule, choose_test
from writing_rl.data.preparation.training_set import Task, check_absent, write_training_set
from writing_rl.dataset.system_message import SYSTEM
from writing_rl.errors import DataError
from writing_rl.judging.call_forecast import announce
from writing_rl.judging.factory import make_channel
from writing_rl.util.atomic_files import sha256_of

#: The files of the stages in the folder of the data set.
GRADES, CONFIRMATIONS = "grades.jsonl", "confirmations.jsonl"

#: Seconds after which a progress bar appears.
_PATIENCE = 5.0


@dataclass(frozen=True)
class Preparation:
    """Everything that determines a training set.

    Attributes:
        inputs: Files of raw prompts.
        out: The folder of the data set, and of what the judges say about it.
        model_order: The models, the weakest first, if their ranks are the scores.
        grading: How responses are graded, if grades are the scores. Without either, the scores are given.
        confirmation: How the order of references is confirmed; None: not at all.
        rules: Which responses become references.
        split: Which prompts are for testing.
        system: The system message of prompts without one of their own; empty for none.
        keep_truncated: Whether responses that were cut off at a limit of tokens may become references.
        force: Whether an existing data set may be overwritten.
    """

    inputs: Sequence[Path]
    out: Path = Path("data")
    model_order: Sequence[str] | None = None
    grading: Grading | None = None
    confirmation: Confirmation | None = None
    rules: ReferenceRules = field(default_factory=ReferenceRules)
    split: SplitRule = field(default_factory=SplitRule)
    system: str = SYSTEM
    keep_truncated: bool = False
    force: bool = False


def prepare(preparation: Preparation) -> str:
    """Makes the training set.

    What a judge answers is kept in the folder as it comes, so that a start after a kill, or with other rules,
    pays for nothing twice.

    Returns:
        A summary for people.

    Raises:
        DataError: The input cannot be used; no data set is written.
        SettingError: A setting cannot be used, or there is a data set already; no data set is written.
        JudgeError: The judge cannot be asked, or its budget is spent; no data set is written.
        OSError: The folder cannot be written to; what was there before is as it was.
    """
    scoring = _scoring(preparation)
    if not preparation.force:
        check_absent(preparation.out)
    found = read_raw_prompts(preparation.inputs, keep_truncated=preparation.keep_truncated)
    prepared = Prepared(found, preparation.rules.min_references, keep_truncated=preparation.keep_truncated)
    tasks = asyncio.run(_tasks(preparation, scoring, prepared))
    if not tasks:
        raise DataError(nothing_left(prepared))
    for_test = choose_test((task.raw.prompt for task in tasks), preparation.split)
    prepared.train = [task for task, is_test in zip(tasks, for_test, strict=True) if not is_test]
    prepared.test = [task for task, is_test in zip(tasks, for_test, strict=True) if is_test]
    record = _record(preparation, prepared)
    write_training_set(preparation.out, prepared.train, prepared.test, preparation.system, record)
    return summary(preparation.out, preparation.split, prepared)


def _scoring(preparation: Preparation) -> Scoring | None:
    """Where the scores come from; None where a judge has to be asked first."""
    if preparation.grading:
        return None
    return given_scores if preparation.model_order is None else by_model_order(preparation.model_order)


async def _tasks(preparation: Preparation, scoring: Scoring | None, prepared: Prepared) -> list[Task]:
    """The prompts with their references; asks the judges where that is wanted."""
    grading, confirmation = preparation.grading, preparation.confirmation
    stages = [stage for stage in (grading, confirmation) if stage]
    # One for both stages: a budget is for the whole start.
    channel = make_channel(stages[0].judges) if stages else None
    async with contextlib.AsyncExitStack() as stack:
        # Both files are opened, and judges made, before the first answer is paid for.
        if grading and channel:
            graders = await stack.enter_async_context(contextlib.aclosing(Graders(grading, channel)))
            graded = stack.enter_context(grading.stage(preparation.out / GRADES, preparation.inputs))
        if confirmation:
            compared = stack.enter_context(
                confirmation.stage(preparation.out / CONFIRMATIONS, preparation.inputs)
            )
        calls = []
        if grading:
            calls.append(calls_of(_texts(prepared.found), grading, graded))
        if confirmation:
            calls.append(confirmation_calls(_neighbours(prepared.found), confirmation, compared))
        if stages:
            announce(calls, stages[0].judges.limits)
        if grading and channel:
            prepared.grades = await grade_texts(_texts(prepared.found), grading, graders, graded)
            scoring = by_grades(prepared.grades)
        assert scoring is not None
        tasks = prepared.enough(_choose(prepared.found, scoring, preparation.rules, prepared.dropped))
        if confirmation and channel:
            tasks, prepared.confirmed = await confirm(tasks, confirmation, channel, compared)
            tasks = prepared.enough(tasks)
    return tasks


def _texts(found: RawInput) -> Iterator[Text]:
    """All responses, as a judge sees them."""
    for prompt in found.prompts:
        for response in prompt.responses:
            yield Text(prompt.prompt, response.text, prompt.criteria)


def _neighbours(found: RawInput) -> list[Neighbours]:
    """As many pairs of responses as are compared at most; which ones is known once all have a score."""
    return [
        Neighbours(prompt.prompt, prompt.criteria, better.text, worse.text)
        for prompt in found.prompts
        for worse, better in itertools.pairwise(prompt.responses)
    ]


def _choose(found: RawInput, scoring: Scoring, rules: ReferenceRules, dropped: Dropped) -> list[Task]:
    """The prompts with what becomes of their responses; counts what is dropped."""
    from tqdm import tqdm

    # Silent where nobody watches, and where it is done before anybody wonders.
    prompts = tqdm(scoring(found.prompts), unit="prompt", delay=_PATIENCE, disable=None, leave=False)
    return [Task(scored.raw, choose_references(scored.references, rules, dropped)) for scored in prompts]


def _record(preparation: Preparation, prepared: Prepared) -> dict[str, Any]:
    """What `prepare.json` says."""
    made = {
        name: {"file": name, "sha256": sha256_of(preparation.out / name), **stage.settings}
        for name, stage in ((GRADES, preparation.grading), (CONFIRMATIONS, preparation.confirmation))
        if stage
    }
    return {
        "settings": _settings(preparation),
        "judged": made,
        "inputs": [{"path": path, "sha256": sha256} for path, sha256 in prepared.found.sha256.items()],
        "counts": prepared.counts(),
        "versions": {
            "writing_rl": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "pyarrow")},
        },
    }


def _settings(preparation: Preparation) -> dict[str, Any]:
    grading, order = preparation.grading, preparation.model_order
    return {
        "scores": "graded" if grading else "given" if order is None else "model_order",
        "model_order": None if order is None else list(order),
        "grade_samples": grading.samples if grading else None,
        "confirmed": preparation.confirmation is not None,
        **asdict(preparation.rules),
        **asdict(preparation.split),
        "system": preparation.system,
        "keep_truncated": preparation.keep_truncated,
    }
