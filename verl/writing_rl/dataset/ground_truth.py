"""The part of a row that says what its texts are compared with (`reward_model.ground_truth`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def references_of(ground_truth: Mapping[str, Any]) -> tuple[str, ...]:
    """The references of a ground truth; a `target` that is one string is one fixed reference.

    After parquet a list can arrive as a NumPy array.
    """
    target = ground_truth["target"]
    return (target,) if isinstance(target, str) else tuple(target)
