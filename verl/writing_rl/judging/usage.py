"""What judging took: calls, time, tokens and money, of one comparison and of a step. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from writing_rl.judging.compare import Comparison
from writing_rl.judging.vote import disagree
from writing_rl.util.quantiles import quantile


@dataclass(frozen=True)
class Usage:
    """What comparisons took of the judge; adds up.

    Attributes:
        latencies_s: Seconds of each answered call.
        cached: Answers that were taken from the cache; they count nowhere else.
        prompt_tokens: Tokens that the judge read, as its provider counts them.
        completion_tokens: Tokens that it wrote.
        cached_tokens: Tokens read that its provider had in a cache.
        thinking_tokens: Tokens written that are thinking.
        cost_usd: What that cost, as far as prices are known.
        unpriced: Answers whose price is not known.
        flips: Comparisons whose two orders gave different verdicts.
        disagreements: Comparisons whose judges gave different outcomes.
        comparisons: Comparisons in all.
    """

    latencies_s: tuple[float, ...] = ()
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    thinking_tokens: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    flips: int = 0
    disagreements: int = 0
    comparisons: int = 0

    @classmethod
    def of(cls, comparison: Comparison) -> Usage:
        """What one comparison took."""
        answers = [call.answer for call in comparison.calls if not call.answer.cached]
        return cls(
            latencies_s=tuple(answer.latency_s for answer in answers),
            cached=len(comparison.calls) - len(answers),
            prompt_tokens=sum(answer.prompt_tokens for answer in answers),
            completion_tokens=sum(answer.completion_tokens for answer in answers),
            cached_tokens=sum(answer.cached_tokens for answer in answers),
            thinking_tokens=sum(answer.thinking_tokens for answer in answers),
            cost_usd=sum(answer.cost_usd or 0.0 for answer in answers),
            unpriced=sum(answer.cost_usd is None for answer in answers),
            flips=int(comparison.flipped),
            disagreements=int(disagree(comparison.votes)),
            comparisons=1,
        )

    @classmethod
    def total(cls, parts: Iterable[Usage]) -> Usage:
        """What several comparisons took together."""
        parts = list(parts)
        return cls(
            latencies_s=tuple(latency for part in parts for latency in part.latencies_s),
            cached=sum(part.cached for part in parts),
            prompt_tokens=sum(part.prompt_tokens for part in parts),
            completion_tokens=sum(part.completion_tokens for part in parts),
            cached_tokens=sum(part.cached_tokens for part in parts),
            thinking_tokens=sum(part.thinking_tokens for part in parts),
            cost_usd=sum(part.cost_usd for part in parts),
            unpriced=sum(part.unpriced for part in parts),
            flips=sum(part.flips for part in parts),
            disagreements=sum(part.disagreements for part in parts),
            comparisons=sum(part.comparisons for part in parts),
        )

    @property
    def known_cost_usd(self) -> float | None:
        """What it cost, or None where a price is not known."""
        return None if self.unpriced else self.cost_usd

    def metrics(self) -> dict[str, float]:
        """A step's figures under the names of the README's table "Logged metrics"."""
        latencies = sorted(self.latencies_s)
        figures = {
            "calls": float(len(latencies)),
            "cached": float(self.cached),
            "latency_s/p50": quantile(latencies, 0.5),
            "latency_s/p95": quantile(latencies, 0.95),
            "prompt_tokens": float(self.prompt_tokens),
            "completion_tokens": float(self.completion_tokens),
            "flip_rate": self._share(self.flips),
            "disagreement_rate": self._share(self.disagreements),
        }
        # Not all providers tell them, and a curve of zeros would say more than is known.
        told = {"cached_tokens": self.cached_tokens, "thinking_tokens": self.thinking_tokens}
        figures |= {name: float(count) for name, count in told.items() if count}
        if self.known_cost_usd is not None:
            figures["cost_usd"] = self.known_cost_usd
        return {f"writing_rl/judge/{name}": value for name, value in figures.items()}

    def _share(self, count: int) -> float:
        return count / self.comparisons if self.comparisons else 0.0
