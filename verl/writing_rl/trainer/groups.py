"""Which rollouts of a batch may train. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def trainable(keys: Sequence[str], scored: Sequence[bool], *, grouped: bool) -> list[bool]:
    """Says which rollouts may train.

    Args:
        keys: verl's trajectory keys, `{uid}_{session}_{index}`; a `uid` is one group.
        scored: Whether each rollout has a verdict.
        grouped: Whether advantages are relative to a group (GRPO with n > 1).

    Returns:
        One flag a rollout: scored, and in a group with at least two scored rollouts where that matters.
    """
    scored_in_group = Counter(key.split("_")[0] for key, ok in zip(keys, scored, strict=True) if ok)
    needed = 2 if grouped else 1
    return [ok and scored_in_group[key.split("_")[0]] >= needed for key, ok in zip(keys, scored, strict=True)]
