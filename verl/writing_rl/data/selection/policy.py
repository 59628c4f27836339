"""What the policy writes today, and what a judge thinks of it: the scores that the selection needs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from writing_rl.data.generate import Generation, Response, calls_of, generate, questions_of
from writing_rl.data.grading import Graders, Grades, Grading, Line, Text, grade_texts
from writing_rl.data.grading import calls_of as grade_calls
from writing_rl.data.preparation.training_set import RECORD
from writing_rl.data.prompt_files import Prompt
from writing_rl.data.stage_file import StageFile
from writing_rl.dataset.samples import Sample, read_samples, sample_keys
from writing_rl.errors import DataError, SettingError
from writing_rl.judging.call_forecast import CallForecast, announce
from writing_rl.judging.client.request_queue import own_slots
from writing_rl.judging.client.slots import SlotPool
from writing_rl.judging.factory import make_channel
from writing_rl.judging.grade import LOWEST
from writing_rl.judging.providers.answers import EMPTY
from writing_rl.text.thinking import judged_text
from writing_rl.util.atomic_files import write_whole

#: What became of responses that were written: a text, or a model that ended before its first word.
WRITTEN = ("", EMPTY)


@dataclass(frozen=True)
class Policy:
    """How the policy's scores come about.

    Attributes:
        generation: Who writes, one writer, and how often.
        grading: Who grades.
    """

    generation: Generation
    grading: Grading


@dataclass(frozen=True)
class PolicyFiles:
    """The files of these stages, beside the selection that they are for.

    Attributes:
        responses: What the policy wrote.
        grades: What a judge says of it.
        scores: The outcome: `{"id", "score"}`, a line a response.
    """

    responses: Path
    grades: Path
    scores: Path

    @classmethod
    def beside(cls, out: Path) -> PolicyFiles:
        """Those of a selection that is written to `out`."""
        # Not `with_suffix`, which fails for what has no name: that is told by whoever checks `out`.
        names = (f"{out.stem}.policy{kind}.jsonl" for kind in ("_responses", "_grades", ""))
        return cls(*(out.parent / name for name in names))


def score_policy(data: Path, files: PolicyFiles, policy: Policy) -> str:
    """Has the policy write to every prompt of a data set, has that graded, and writes the scores.

    What was written and graded before is not asked for again.

    Args:
        data: The data set.
        files: Where the answers and the scores go.
        policy: Who writes and who grades.

    Returns:
        What came of it, for a terminal.

    Raises:
        SettingError: The references are on another scale than the policy's scores would be.
        DataError: The data set cannot be used, or nothing could be written or graded.
        JudgeError: A model cannot be asked, or the budget is spent; what was paid for is in the files.
    """
    note = check_scale(data, policy.grading)
    samples = read_samples(data)
    keys = sample_keys(samples, data)
    ids = [keys.key(sample.id, sample.index) for sample in samples]
    texts, grades = asyncio.run(_ask(samples, data, files, policy))
    lines = _scores(ids, samples, texts, grades)
    if not lines:
        raise DataError(
            f"no response of the policy could be graded: see {files.responses} and {files.grades}"
        )
    write_whole(files.scores, "".join(f"{json.dumps(line)}\n" for line in lines))
    asked = len(samples) * policy.generation.samples
    said = [f"{files.scores}: {len(lines):,} of {asked:,} responses of the policy are scored"]
    if empty := sum(not text for text in texts.values()):
        said.append(f"{empty:,} have no text besides a thinking part: they have the lowest grade")
    if len(texts) < asked:
        said.append(f"{asked - len(texts):,} could not be written: see {files.responses}")
    if ungraded := grades.ungraded.total():
        said.append(f"{ungraded:,} could not be graded: see {files.grades}")
    return "\n".join((*said, *([note] if note else [])))


def check_scale(data: Path, grading: Grading) -> str:
    """A margin is the difference of two grades, which must be of one scale.

    Args:
        data: The data set, beside which `prepare.json` says how its references were graded.
        grading: How the policy's texts are to be graded.

    Returns:
        A warning where that is not known; empty where it is the same scale.

    Raises:
        SettingError: It is another scale.
    """
    path = data.with_name(RECORD)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        scores = record["settings"]["scores"]
        made = next(iter(entry for entry in record["judged"].values() if entry["stage"] == "grades"), None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return (
            f"Note: no {path} says how the references were graded; the margin compares them with other grades"
        )
    if scores == "model_order":
        raise SettingError(
            f"the scores of {data} are ranks of models ({path}), which no grade can be compared with: have "
            "the references graded with writing-rl data prepare --scores grade"
        )
    if made is None:
        return (
            f"Note: the references of {data} have scores that were given: they must be grades from 1 to 10, "
            "best by the same judge"
        )
    for name, now in grading.settings.items():
        if (before := made.get(name)) != now:
            raise SettingError(
                f"the references of {data} were graded with {name} = {before!r:.60} ({path}), and now it is "
                f"{now!r:.60}: a margin needs one scale, so grade both alike"
            )
    return ""


async def _ask(
    samples: Sequence[Sample], data: Path, files: PolicyFiles, policy: Policy
) -> tuple[Mapping[tuple[int, int], str], Grades]:
    """The policy's texts by row and number, and their grades."""
    generation, grading = policy.generation, policy.grading
    # One pool for both stages: a budget is for the whole start.
    limits = grading.judges.limits
    slots = own_slots(SlotPool(grading.judges.parallel, limits), metered=limits.any)
    prompts = [Prompt(sample.prompt, sample.messages, {}) for sample in samples]
    (writer,) = generation.writers
    # Everything that the grading needs is looked at before the writing is paid for.
    async with contextlib.aclosing(Graders(grading, make_channel(grading.judges, slots))) as graders:
        with (
            generation.stage(files.responses, [data], texts=True) as written,
            grading.stage(files.grades, [data]) as graded,
        ):
            channel = make_channel(generation.models, slots, learns=False)
            announce(_calls(samples, prompts, policy, written, graded), limits)
            await generate(prompts, generation, channel, written)
            responses = {
                (row, question.sample): written.found[question.key]
                for row, prompt in enumerate(prompts)
                for question in questions_of(prompt, writer, generation)
            }
            if all(response.failed not in WRITTEN for response in responses.values()):
                first = next(iter(responses.values()))
                raise DataError(
                    f"the policy wrote nothing: {first.failed}: {first.detail} ({files.responses})"
                )
            texts = {place: judged_text(r.text) for place, r in responses.items() if r.failed in WRITTEN}
            asked = (
                Text(samples[row].prompt, text, samples[row].criteria)
                for (row, _), text in texts.items()
                if text
            )
            return texts, await grade_texts(asked, grading, graders, graded)


def _calls(
    samples: Sequence[Sample],
    prompts: Sequence[Prompt],
    policy: Policy,
    written: StageFile[Response],
    graded: StageFile[Line],
) -> list[CallForecast]:
    """The calls of both stages that are not answered yet."""
    generation, grading = policy.generation, policy.grading
    (writer,) = generation.writers
    texts: list[Text] = []
    unwritten: list[tuple[str, str | None]] = []
    for sample, prompt in zip(samples, prompts, strict=True):
        for question in questions_of(prompt, writer, generation):
            response = written.found.get(question.key)
            if response is None:
                unwritten.append((sample.prompt, sample.criteria))
            elif text := judged_text(response.text):
                texts.append(Text(sample.prompt, text, sample.criteria))
    writing = calls_of(prompts, generation, written)
    return [writing, grade_calls(texts, grading, graded, unwritten)]


def _scores(
    ids: Sequence[str], samples: Sequence[Sample], texts: Mapping[tuple[int, int], str], grades: Grades
) -> list[dict[str, Any]]:
    """The lines of the scores."""
    lines: list[dict[str, Any]] = []
    for (row, _), text in sorted(texts.items()):
        # Training counts a response without an answer as lost, whatever it is compared with.
        grade = grades.of.get(Text(samples[row].prompt, text, samples[row].criteria)) if text else LOWEST
        if grade is not None:
            lines.append({"id": int(ids[row]), "score": grade})
    return lines
