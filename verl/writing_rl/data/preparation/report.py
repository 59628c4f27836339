"""What became of raw prompts, in figures for `prepare.json` and in words for people."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from writing_rl.data.grading import Grades, mean_by_model
from writing_rl.data.preparation.confirmation import Confirmed
from writing_rl.data.preparation.raw_prompts import RawInput
from writing_rl.data.preparation.references import Dropped
from writing_rl.data.preparation.scoring import by_grades
from writing_rl.data.preparation.split import SplitRule
from writing_rl.data.preparation.training_set import TEST, TRAIN, Task


@dataclass
class Prepared:
    """What is known of a preparation as it goes on.

    Attributes:
        found: What the input files hold.
        min_references: How many references a prompt needs.
        keep_truncated: Whether responses that were cut off are not left out.
        grades: What a judge said of the responses, where it was asked.
        dropped: Responses that did not become references.
        confirmed: What the comparison of neighbours dropped, where it was made.
        too_few: Prompts that were left with too few references.
        train: What is for training.
        test: What is for testing.
    """

    found: RawInput
    min_references: int
    keep_truncated: bool = False
    grades: Grades | None = None
    dropped: Dropped = field(default_factory=Dropped)
    confirmed: Confirmed | None = None
    too_few: int = 0
    train: Sequence[Task] = ()
    test: Sequence[Task] = ()

    def enough(self, tasks: Iterable[Task]) -> list[Task]:
        """The prompts with enough references; counts the others."""
        tasks = list(tasks)
        left = [task for task in tasks if len(task.references) >= self.min_references]
        self.too_few += len(tasks) - len(left)
        return left

    def counts(self) -> dict[str, Any]:
        """The figures."""
        return {
            "lines": self.found.lines,
            "prompts": len(self.found.prompts),
            "joined_lines": self.found.joined,
            "conflicting_lines": self.found.conflicts,
            "empty_responses": self.found.empty_responses,
            "truncated_responses": self.found.truncated_responses,
            "ungraded_responses": self.grades.ungraded.total() if self.grades else 0,
            **asdict(self.dropped),
            "unconfirmed": self.confirmed.dropped if self.confirmed else 0,
            "comparisons_without_verdict": self.confirmed.unscored if self.confirmed else 0,
            "prompts_with_too_few_references": self.too_few,
            "train": len(self.train),
            "test": len(self.test),
            "references": sum(len(task.references) for task in (*self.train, *self.test)),
        }


def nothing_left(prepared: Prepared) -> str:
    """The error of a preparation in which no prompt has enough references."""
    return (
        f"no prompt is left of {len(prepared.found.prompts)}: {prepared.too_few} have fewer than "
        f"{prepared.min_references} references (--min-references); left out: {_dropped(prepared)}"
    )


def summary(out: Path, split: SplitRule, prepared: Prepared) -> str:
    """What was read, dropped and written, and what to do next."""
    found = prepared.found
    tasks = [*prepared.train, *prepared.test]
    numbers = Counter(len(task.references) for task in tasks)
    worst = sum(task.references[0].score for task in tasks) / len(tasks)
    best = sum(task.references[-1].score for task in tasks) / len(tasks)
    read = f"Read: {len(found.prompts):,} prompts in {found.lines:,} lines"
    if found.joined:
        read += f"; {found.joined:,} repeat a prompt and were joined to it"
    if found.conflicts:
        read += f", {found.conflicts:,} of them with other criteria, source or system: the first count"
    mean = sum(len(task.references) for task in tasks) / len(tasks)
    per_prompt = f"mean {mean:.3g} ({', '.join(f'{numbers[n]:,} with {n}' for n in sorted(numbers))})"
    sets = f"{out / TRAIN}: {len(prepared.train):,} prompts; {out / TEST}: {len(prepared.test):,}"
    if (
        split.test_count is None
        and abs(len(prepared.test) / len(tasks) - split.test_share) > split.test_share / 3
    ):
        sets += f" (the share of {split.test_share:.3g} varies in a small set; --test-count N is exact)"
    return "\n".join(
        (
            read,
            *_judged(prepared),
            f"Responses left out: {_dropped(prepared)}",
            *_kept_truncated(prepared),
            f"Prompts left out: {prepared.too_few:,} with fewer than {prepared.min_references} references",
            f"References per prompt: {per_prompt}",
            f"Mean score: worst reference {worst:.3g}, best {best:.3g}",
            sets,
            *_split_notes(prepared),
            f"Next: writing-rl index create --data {shlex.quote(str(out / TRAIN))}",
        )
    )


def _judged(prepared: Prepared) -> list[str]:
    """What the judges said: each model's mean grade, and what is without one, or without a verdict."""
    lines = []
    if prepared.grades is not None:
        scored = by_grades(prepared.grades)(prepared.found.prompts)
        means = mean_by_model(
            (reference.model, reference.score) for prompt in scored for reference in prompt.references
        )
        if means:
            said = ", ".join(f"{name} {mean:.2f} ({number:,})" for name, mean, number in means)
            lines.append(f"Mean grade by model: {said}")
        ungraded = prepared.grades.ungraded
        if ungraded:
            reasons = ", ".join(f"{number:,} {reason}" for reason, number in ungraded.most_common())
            detail = f"; the last: {prepared.grades.detail}" if prepared.grades.detail else ""
            lines.append(f"Without a grade: {reasons}{detail} (--retry-unscored asks again)")
    if prepared.confirmed and prepared.confirmed.unscored:
        number = prepared.confirmed.unscored
        lines.append(f"Neighbours without a verdict, kept: {number:,} (--retry-unscored asks again)")
    return lines


def _kept_truncated(prepared: Prepared) -> list[str]:
    number = prepared.found.truncated_responses
    if not number or not prepared.keep_truncated:
        return []
    return [f"Cut off at a limit of tokens, and taken for whole (--keep-truncated): {number:,} responses"]


def _split_notes(prepared: Prepared) -> list[str]:
    """What is odd about the sizes of the two sets."""
    train, test = len(prepared.train), len(prepared.test)
    remedy = "lower --test-count or --test-share, or give more prompts"
    if train == 1:
        return [f"Note: one prompt is left to train on: {remedy}"]
    if train < test:
        return [
            f"Note: there are fewer prompts to train on ({train:,}) than for testing ({test:,}): {remedy}"
        ]
    if test == 1:
        return ["Note: one prompt is for testing, so validation is about that one: raise --test-count"]
    return []


def _dropped(prepared: Prepared) -> str:
    dropped = prepared.dropped
    parts = [
        f"{prepared.found.empty_responses} empty",
        f"{dropped.near_duplicates} near-duplicates",
        f"{dropped.ties} ties",
        f"{dropped.beyond_max} beyond --max-references",
    ]
    if prepared.found.truncated_responses and not prepared.keep_truncated:
        number = prepared.found.truncated_responses
        parts.insert(1, f"{number} cut off at a limit of tokens (--keep-truncated keeps them)")
    if prepared.grades is not None:
        parts.insert(1, f"{prepared.grades.ungraded.total()} without a grade")
    if prepared.confirmed is not None:
        parts.append(f"{prepared.confirmed.dropped} not beaten by a better-graded neighbour")
    return ", ".join(parts)
