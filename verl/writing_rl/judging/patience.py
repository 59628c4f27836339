"""How long an answer is waited for before it is late, learnt from how long answers take. Pure functions."""

from __future__ import annotations

from collections import deque

from writing_rl.judging.quantiles import quantile

#: A request is late after this many times the time within which nine of ten are answered: the second
#: number counts where some requests are seen to hang, so that one that is late is likely never answered.
TIMES, TIMES_IF_SOME_HANG = 2.0, 1.5
SHARE = 0.9

#: Some requests hang where more than this share of the last ones was late (0.3 % are with a healthy judge
#: and log-normal latencies, sigma 0.5). Where more than one in ten was, the judge is slow rather than broken.
HANGING_SHARE = 0.02

#: Seconds below which nothing is late: this machine may be slow itself for a moment.
SHORTEST_S = 2.0

#: How many of the last requests count, and how many it takes to say anything.
WINDOW, LEAST = 256, 16


class Patience:
    """The time after which a request is late: it may never be answered.

    A hanging request costs its place among those in flight for as long as it is waited for, and the longest
    wait that makes sense for any judge is far too long for most. A late request counts as if it had been
    answered at that moment (and once more if it is answered after all, beside another one). So where many are
    late, the provider has become slower and is given twice the time. A question that was late twice is
    given twice the time, too, before it is given up: it may be a long one.
    """

    def __init__(self, longest_s: float, *, learns: bool = True) -> None:
        """Knows nothing yet.

        Args:
            longest_s: Seconds after which a request is late in any case.
            learns: Whether it is late sooner where answers are seen to come sooner.
        """
        self._learns = learns
        self._longest_s = longest_s
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._late: deque[bool] = deque(maxlen=WINDOW)
        self._learnt_s = longest_s
        self._usual_s = longest_s

    def limit_s(self, late: int = 0) -> float:
        """Seconds that a request may take as things stand.

        Args:
            late: How often the same question was late before.
        """
        return min(self._longest_s, self._learnt_s * 2.0 ** max(0, late - 1))

    def usual_s(self) -> float:
        """Seconds within which nine of ten requests are answered, as far as is known."""
        return min(self._longest_s, self._usual_s)

    def ended(self, seconds: float, *, late: bool = False) -> None:
        """Learns from a request that was answered, or is late."""
        self._recent.append(seconds)
        self._late.append(late)
        if self._learns and len(self._recent) >= LEAST:
            late_share = sum(self._late) / len(self._late)
            some_hang = HANGING_SHARE < late_share < 1 - SHARE
            times = TIMES_IF_SOME_HANG if some_hang else TIMES
            usual_s = quantile(sorted(self._recent), SHARE)
            self._learnt_s, self._usual_s = max(SHORTEST_S, times * usual_s), max(SHORTEST_S, usual_s)
