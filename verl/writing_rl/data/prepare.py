"""From raw prompts to a training set: what `scripts/prepare_data.py` does."""

from __future__ import annotations

import platform
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from writing_rl import __version__
from writing_rl.data.raw_prompts import RawInput, read_raw_prompts
from writing_rl.data.references import Dropped, ReferenceRules, choose_references
from writing_rl.data.scoring import Scoring, by_model_order, given_scores
from writing_rl.data.split import SplitRule, choose_test
from writing_rl.data.training_set import TEST, TRAIN, Task, check_absent, write_training_set
from writing_rl.errors import DataError

SYSTEM = "You are an expert writer."

#: Seconds after which a progress bar appears.
_PATIENCE = 5.0


@dataclass(frozen=True)
class Preparation:
    """Everything that determines a training set.

    Attributes:
        inputs: Files of raw prompts.
        out: The folder of the data set.
        model_order: The models, the weakest first, if their ranks are the scores; None: the scores are given.
        rules: Which responses become references.
        split: Which prompts are for testing.
        system: The system message of prompts without one of their own; empty for none.
        force: Whether an existing data set may be overwritten.
    """

    inputs: Sequence[Path]
    out: Path = Path("data")
    model_order: Sequence[str] | None = None
    rules: ReferenceRules = field(default_factory=ReferenceRules)
    split: SplitRule = field(default_factory=SplitRule)
    system: str = SYSTEM
    force: bool = False

    def scoring(self) -> Scoring:
        """Where the scores come from.

        Raises:
            SettingError: The order of the models cannot be used.
        """
        return given_scores if self.model_order is None else by_model_order(self.model_order)


def prepare(preparation: Preparation) -> str:
    """Makes the training set.

    Returns:
        A summary for people.

    Raises:
        DataError: The input cannot be used; nothing is written.
        SettingError: A setting cannot be used, or there is a data set already; nothing is written.
        OSError: The folder cannot be written to; what was there before is as it was.
    """
    scoring = preparation.scoring()
    if not preparation.force:
        check_absent(preparation.out)
    found = read_raw_prompts(preparation.inputs)
    tasks, dropped, too_few = _choose(found, scoring, preparation.rules)
    if not tasks:
        raise DataError(
            f"no prompt is left of {len(found.prompts)}: {too_few} have fewer than "
            f"{preparation.rules.min_references} references (--min_references); left out: "
            f"{_dropped(found, dropped)}"
        )
    for_test = choose_test((task.raw.prompt for task in tasks), preparation.split)
    train = [task for task, is_test in zip(tasks, for_test, strict=True) if not is_test]
    test = [task for task, is_test in zip(tasks, for_test, strict=True) if is_test]
    counts = {
        "lines": found.lines,
        "prompts": len(found.prompts),
        "joined_lines": found.joined,
        "conflicting_lines": found.conflicts,
        "empty_responses": found.empty_responses,
        **asdict(dropped),
        "prompts_with_too_few_references": too_few,
        "train": len(train),
        "test": len(test),
        "references": sum(len(task.references) for task in tasks),
    }
    record = {
        "settings": _settings(preparation),
        "inputs": [{"path": path, "sha256": sha256} for path, sha256 in found.sha256.items()],
        "counts": counts,
        "versions": {
            "writing_rl": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "pyarrow")},
        },
    }
    write_training_set(preparation.out, train, test, preparation.system, record)
    return _summary(preparation, found, dropped, too_few, train, test)


def _choose(found: RawInput, scoring: Scoring, rules: ReferenceRules) -> tuple[list[Task], Dropped, int]:
    """The tasks, what was dropped, and how many prompts have too few references."""
    from tqdm import tqdm

    dropped, too_few = Dropped(), 0
    tasks: list[Task] = []
    # Silent where nobody watches, and where it is done before anybody wonders.
    for scored in tqdm(scoring(found.prompts), unit="prompt", delay=_PATIENCE, disable=None, leave=False):
        references = choose_references(scored.references, rules, dropped)
        if len(references) < rules.min_references:
            too_few += 1
        else:
            tasks.append(Task(scored.raw, references))
    return tasks, dropped, too_few


def _settings(preparation: Preparation) -> dict[str, Any]:
    return {
        "scores": "given" if preparation.model_order is None else "model_order",
        "model_order": None if preparation.model_order is None else list(preparation.model_order),
        **asdict(preparation.rules),
        **asdict(preparation.split),
        "system": preparation.system,
    }


def _dropped(found: RawInput, dropped: Dropped) -> str:
    return (
        f"{found.empty_responses} empty, {dropped.near_duplicates} near-duplicates, {dropped.ties} ties, "
        f"{dropped.beyond_max} beyond --max_references"
    )


def _summary(
    preparation: Preparation,
    found: RawInput,
    dropped: Dropped,
    too_few: int,
    train: Sequence[Task],
    test: Sequence[Task],
) -> str:
    tasks = [*train, *test]
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
    sets = f"{preparation.out / TRAIN}: {len(train):,} prompts; {preparation.out / TEST}: {len(test):,}"
    share = preparation.split.test_share
    if preparation.split.test_count is None and abs(len(test) / len(tasks) - share) > share / 3:
        sets += f" (the share of {share:.3g} varies in a small set; --test_count N is exact)"
    return "\n".join(
        (
            read,
            f"Responses left out: {_dropped(found, dropped)}",
            f"Prompts left out: {too_few:,} with fewer than {preparation.rules.min_references} references",
            f"References per prompt: {per_prompt}",
            f"Mean score: worst reference {worst:.3g}, best {best:.3g}",
            sets,
            f"Next: python scripts/create_index_file.py --data {shlex.quote(str(preparation.out / TRAIN))}",
        )
    )
