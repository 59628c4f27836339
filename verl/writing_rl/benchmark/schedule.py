"""The best that a judge path can do with given latencies. Pure functions."""

from __future__ import annotations

import heapq
from collections.abc import Iterable


def best_makespan(latencies_s: Iterable[float], parallel: int) -> float:
    """Seconds until the last answer, when each request starts as soon as one of `parallel` places is free.

    Args:
        latencies_s: The latency of each request, in the order in which they start.
        parallel: Requests in flight at most.
    """
    places: list[float] = [0.0] * parallel
    end = 0.0
    for latency in latencies_s:
        finish = heapq.heappop(places) + latency
        heapq.heappush(places, finish)
        end = max(end, finish)
    return end
