"""A reward function for tests (`reward.custom_reward_function`) whose outcomes do not depend on texts.

What a rollout gets is drawn from a hash of sample, step, reference and number, as if every outcome of a
training had been recorded before: each run that meets the same references in the same steps is fed the same
outcomes. (It cannot be fed the same texts: verl 0.9.1 does not sample the same ones again after a restart.)
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from writing_rl.errors import Unscored

#: What this function says before it hangs, followed by the step.
HANGS = "[drawn outcomes] waits for its end in step"
REWARDS = {"win": 1.0, "tie": 0.5, "loss": 0.0}


def draw(id: int, step: int, reference: int, session: int) -> str:
    """The outcome of one rollout; most of a group agree, and three groups of four win."""
    good = _share(id, step, reference) < 0.75
    usual, other = ("win", "loss") if good else ("loss", "win")
    share = _share(id, step, reference, session)
    return usual if share < 0.75 else other if share < 0.85 else "tie" if share < 0.95 else "unscored"


def _share(*numbers: int) -> float:
    """A number from 0 to 1 that looks drawn, and is the same whenever it is asked for."""
    # "a" is one of many draws: with it samples move up in most steps, and one moves down.
    digest = hashlib.sha256("/".join(["a", *map(str, numbers)]).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def _hangs(step: int, file: Path) -> bool:
    try:
        return step == int(file.read_text())
    except FileNotFoundError:
        return False


async def compute_score(
    *,
    ground_truth: Mapping[str, Any],
    reference_index: int,
    step: int,
    session: int,
    hang_file: str,
    **_: Any,
) -> dict[str, Any]:
    """One rollout's outcome.

    Args:
        ground_truth: The row's.
        reference_index: The sample's current reference.
        step: The step of the training.
        session: The rollout's number in its group.
        hang_file: Names the step that does not end, in which every second rollout of a group waits for as
            long as it does.

    Raises:
        Unscored: The outcome is one without a verdict.
    """
    if session % 2 and _hangs(step, Path(hang_file)):
        print(f"{HANGS} {step}", flush=True)
        while _hangs(step, Path(hang_file)):
            await asyncio.sleep(0.1)
    outcome = draw(int(ground_truth["id"]), step, reference_index, session)
    if outcome == "unscored":
        raise Unscored("drawn")
    return {
        "score": REWARDS[outcome],
        "outcome": outcome,
        "reason": "",
        "flipped": 0.0,
        "reference_index": float(reference_index),
    }
