"""What an experiment has spent on its judge, in `logs/<experiment>/judge/spent.json`.

A budget is for the experiment: a run that is started again goes on with what the file says. It is written
with every step, so a kill may forget what was spent since.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from writing_rl.errors import JudgeError, SetupError
from writing_rl.judging.client.budget import Bill, Limits
from writing_rl.util.atomic_files import write_whole
from writing_rl.util.console import say


def spent_file(log_dir: str) -> Path:
    """Where an experiment with this log folder keeps the count."""
    return Path(log_dir, "judge", "spent.json")


def read_spent(path: Path) -> Bill:
    """What was spent before; nothing where there is no file.

    Raises:
        SetupError: The file is damaged.
    """
    try:
        return Bill(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Bill()
    except (OSError, ValueError, TypeError) as error:
        raise SetupError(
            f"{path} does not say what the judge has cost so far ({error}): mend it, or remove it to count "
            "from nothing"
        ) from None


def write_spent(path: Path, spent: Bill) -> None:
    """Keeps the count; a failure is said and does no harm to the run, which counts in memory."""
    try:
        write_whole(path, json.dumps(dataclasses.asdict(spent), indent=1) + "\n")
    except OSError as error:
        say(f"[writing-rl] {path} cannot be written: {error.strerror or error}")


def check_budget(path: Path, spent: Bill, limits: Limits) -> None:
    """A run that is started again has something left to spend.

    Raises:
        JudgeError: It has not.
    """
    for name, used, most in (
        ("max_calls", spent.calls, limits.max_calls),
        ("max_cost_usd", spent.cost_usd, limits.max_cost_usd),
    ):
        if most is not None and used >= most:
            raise JudgeError(
                f"the judge's budget is spent: {used:g} of writing_rl.judge.{name}={most:g} ({path}): "
                "raise it to go on"
            )


def totals(spent: Bill) -> dict[str, float]:
    """What was spent so far, under the names of the README's table "Logged metrics"."""
    return {
        "writing_rl/judge/total_calls": float(spent.calls),
        "writing_rl/judge/total_tokens": float(spent.tokens),
        "writing_rl/judge/total_cost_usd": spent.cost_usd,
    }
