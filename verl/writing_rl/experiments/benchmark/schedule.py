"""The best that a judge path can do with given latencies. Pure functions."""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def best_makespan(latencies_s: Sequence[float], parallel: int, due_s: Sequence[float] = ()) -> float:
    """Seconds until the last answer, when each request starts as soon as it may and a place is free.

    Args:
        latencies_s: The latency of each request, in the order in which they start.
        parallel: Requests in flight at most.
        due_s: Seconds before which each of them cannot start; none has to wait where it is shorter.
    """
    places: list[float] = [0.0] * parallel
    end = 0.0
    for number, latency in enumerate(latencies_s):
        due = due_s[number] if number < len(due_s) else 0.0
        finish = max(heapq.heappop(places), due) + latency
        heapq.heappush(places, finish)
        end = max(end, finish)
    return end
