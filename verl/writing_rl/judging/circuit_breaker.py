"""Noticing that a judge has stopped judging. Pure functions."""

from __future__ import annotations

from collections import Counter, deque

from writing_rl.judging.compare import Comparison
from writing_rl.judging.verdict import Outcome


class Breaker:
    """Trips when too many of the most recent comparisons got no verdict, and stays so.

    Attributes:
        cause: Why it has tripped, or None.
    """

    def __init__(self, share: float, window: int) -> None:
        """Has seen nothing yet.

        Args:
            share: Trips when more than this share of a full window is unscored; 1 never does.
            window: How many comparisons are recent.
        """
        self.cause: str | None = None
        self._share = share
        self._recent: deque[str] = deque(maxlen=window)  # the reason of each, empty for a scored one
        self._window = window
        self._detail = ""

    def note(self, comparison: Comparison) -> None:
        """Takes one more comparison into account."""
        unscored = comparison.outcome is Outcome.UNSCORED
        self._recent.append(comparison.reason if unscored else "")
        if unscored:
            self._detail = comparison.detail
        count = sum(map(bool, self._recent))
        if len(self._recent) < self._window or count <= self._share * self._window:
            return
        ((reason, _),) = Counter(filter(None, self._recent)).most_common(1)
        self.trip(
            f"{count} of the last {self._window} comparisons got no verdict, most of them for "
            f"{reason}" + (f" (the last message: {self._detail})" if self._detail else "")
        )

    def trip(self, cause: str) -> None:
        """Trips at once; only the first cause counts."""
        if self.cause is None:
            self.cause = cause
