"""What judging took: calls, time and tokens, of one comparison and of a step. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from writing_rl.judging.compare import Comparison


@dataclass(frozen=True)
class Usage:
    """What comparisons took of the judge; adds up.

    Attributes:
        latencies_s: Seconds of each answered call.
        prompt_tokens: Tokens that the judge read, as its provider counts them.
        completion_tokens: Tokens that it wrote.
        flips: Comparisons whose two orders gave different verdicts.
        comparisons: Comparisons in all.
    """

    latencies_s: tuple[float, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    flips: int = 0
    comparisons: int = 0

    @classmethod
    def of(cls, comparison: Comparison) -> Usage:
        """What one comparison took."""
        answers = [call.answer for call in comparison.calls]
        return cls(
            latencies_s=tuple(answer.latency_s for answer in answers),
            prompt_tokens=sum(answer.prompt_tokens for answer in answers),
            completion_tokens=sum(answer.completion_tokens for answer in answers),
            flips=int(comparison.flipped),
            comparisons=1,
        )

    @classmethod
    def total(cls, parts: Iterable[Usage]) -> Usage:
        """What several comparisons took together."""
        parts = list(parts)
        return cls(
            latencies_s=tuple(latency for part in parts for latency in part.latencies_s),
            prompt_tokens=sum(part.prompt_tokens for part in parts),
            completion_tokens=sum(part.completion_tokens for part in parts),
            flips=sum(part.flips for part in parts),
            comparisons=sum(part.comparisons for part in parts),
        )

    def metrics(self) -> dict[str, float]:
        """A step's figures under the names of the README's table "Logged metrics"."""
        latencies = sorted(self.latencies_s)
        return {
            "writing_rl/judge/calls": float(len(latencies)),
            "writing_rl/judge/latency_s/p50": quantile(latencies, 0.5),
            "writing_rl/judge/latency_s/p95": quantile(latencies, 0.95),
            "writing_rl/judge/prompt_tokens": float(self.prompt_tokens),
            "writing_rl/judge/completion_tokens": float(self.completion_tokens),
            "writing_rl/judge/flip_rate": self.flips / self.comparisons if self.comparisons else 0.0,
        }


def quantile(ordered: list[float], share: float) -> float:
    """The smallest of some ordered values that at least a share of them does not exceed; 0.0 of none."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
