"""How long a request to a model is waited for, learnt from how long its answers take. Pure functions."""

from __future__ import annotations

from collections import deque

from writing_rl.util.quantiles import quantile

#: A request is slow after this many times the time within which nine of ten are answered. The second factor
#: is for when a few requests hang, so that a slow one probably hangs, too (on a simulated clock a fifth of
#: faults costs 15 % less time with it); the third one is for the slowest answer while there are few.
FACTOR, FACTOR_IF_SOME_HANG, FACTOR_OF_FEW = 2.0, 1.5, 3.0
SHARE = 0.9

#: Some requests hang where more than the first share of them is slow (0.3 % are with a healthy judge and
#: log-normal latencies, sigma 0.5). Above the second share the judge has become slower, and none hangs.
SOME_HANG, SLOWER = 0.02, 0.1

#: Seconds below which nothing is slow: this machine may be busy for a moment.
SHORTEST_S = 2.0

#: How many of the last requests count, and how many answers are few.
WINDOW, FEW = 256, 16


class LatencyTracker:
    """The time after which a request is slow: a second one may be sent, or the first one given up.

    A request that hangs holds its slot for as long as it is waited for, and a limit that suits every judge is
    far too long for most of them. A slow request counts as if it had been answered at that moment. So where
    many are slow, the judge has become slower, and the time grows with it.
    """

    def __init__(self, longest_s: float, *, learns: bool = True) -> None:
        """Has observed nothing yet.

        Args:
            longest_s: Seconds after which a request is slow in any case.
            learns: Adapt to observed latencies. Disable for generation, where latency varies with length.
        """
        self._longest_s = longest_s
        self._learns = learns
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._slow: deque[bool] = deque(maxlen=WINDOW)
        self._timeout_s = longest_s

    def timeout_s(self, given_up: int = 0) -> float:
        """Seconds after which a request is slow.

        Args:
            given_up: How often the same question was given up before. From the second time on it gets twice
                the time at each: it may need it.
        """
        return min(self._longest_s, self._timeout_s * 2.0 ** max(0, given_up - 1))

    def observe(self, seconds: float, *, slow: bool = False) -> None:
        """Learns from a request that was answered, or is slow.

        Args:
            seconds: How long it has taken by now.
            slow: Whether it is slow, and not answered yet.
        """
        self._recent.append(seconds)
        self._slow.append(slow)
        if not self._learns or all(self._slow):
            return
        few = len(self._recent) < FEW
        some_hang = SOME_HANG < sum(self._slow) / len(self._slow) < SLOWER
        factor = FACTOR_OF_FEW if few else FACTOR_IF_SOME_HANG if some_hang else FACTOR
        self._timeout_s = max(SHORTEST_S, factor * quantile(sorted(self._recent), 1.0 if few else SHARE))
