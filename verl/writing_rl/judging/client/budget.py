"""What may be asked: rates and a budget. Pure functions of the time.

A request is admitted with what it can take at most, and settled with what it took. So a budget is never
overdrawn, whatever is in flight, as long as the provider does not count more tokens than there are bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import ConfigDict, Field, FiniteFloat
from pydantic.dataclasses import dataclass as checked_dataclass

from writing_rl.errors import BudgetSpent

#: Seconds of its rate that a limit per minute lets through at once.
BURST_S = 6.0


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Limits:
    """Limits over a whole run, whatever the number of workers; None is none.

    The last two are a budget, which all starts of an experiment share.
    """

    requests_per_minute: Annotated[
        FiniteFloat | None, Field(gt=0, description="requests begun in a minute; null: no limit")
    ] = None
    tokens_per_minute: Annotated[
        FiniteFloat | None, Field(gt=0, description="tokens read and written in a minute; null: no limit")
    ] = None
    max_calls: Annotated[
        int | None,
        Field(
            gt=0,
            description="requests in all, also those that fail; where they are spent, the run saves its last "
            "complete step and ends",
        ),
    ] = None
    max_cost_usd: Annotated[
        FiniteFloat | None,
        Field(gt=0, description="what they may cost, likewise; the start names the prices it counts with"),
    ] = None

    @property
    def any(self) -> bool:
        """Whether there is one."""
        limits = (self.requests_per_minute, self.tokens_per_minute, self.max_calls, self.max_cost_usd)
        return any(limit is not None for limit in limits)


@dataclass(frozen=True)
class Bill:
    """What requests took, or what one may take; adds up.

    Attributes:
        calls: Requests.
        prompt_tokens: Tokens read.
        completion_tokens: Tokens written.
        cost_usd: What they cost, as far as prices are known.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0

    @property
    def tokens(self) -> int:
        """Tokens read and written."""
        return self.prompt_tokens + self.completion_tokens

    @classmethod
    def total(cls, bills: Sequence[Bill]) -> Bill:
        """Several bills as one."""
        return cls(
            calls=sum(bill.calls for bill in bills),
            prompt_tokens=sum(bill.prompt_tokens for bill in bills),
            completion_tokens=sum(bill.completion_tokens for bill in bills),
            cost_usd=sum(bill.cost_usd for bill in bills),
        )


class Bucket:
    """A token bucket: what a rate leaves room for. It may be overdrawn, and then waits."""

    def __init__(self, per_minute: float, now: float) -> None:
        self._per_s = per_minute / 60
        self._most = max(self._per_s * BURST_S, 1.0)
        self._level = self._most
        self._then = now

    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until there is room; an amount larger than the bucket fits in a full one."""
        self._level = min(self._most, self._level + (now - self._then) * self._per_s)
        self._then = now
        lacking = min(amount, self._most) - self._level
        return lacking / self._per_s if lacking > 1e-9 else 0.0

    def take(self, amount: float) -> None:
        """Takes an amount out, or puts a negative one back."""
        self._level = min(self._most, self._level - amount)


class Meter:
    """Counts what is asked, and says when the next request may be made.

    Attributes:
        spent: What all requests took that have ended.
    """

    def __init__(self, limits: Limits, spent: Bill, now: float) -> None:
        """Starts to count.

        Args:
            limits: What may be asked.
            spent: What earlier starts of the run took of the same budget.
            now: The time by a clock of seconds, like every later `now`.
        """
        self.spent = spent
        self._limits = limits
        self._open = Bill()
        requests, tokens = limits.requests_per_minute, limits.tokens_per_minute
        self._requests = Bucket(requests, now) if requests is not None else None
        self._tokens = Bucket(tokens, now) if tokens is not None else None

    @property
    def spent_at_most(self) -> Bill:
        """`spent` with what requests may still take that are under way, where there is a limit to meter."""
        return Bill.total((self.spent, self._open)) if self._limits.any else self.spent

    def admit(self, at_most: Bill, now: float) -> float | None:
        """Asks for one request.

        Args:
            at_most: What it can take at most.
            now: The time.

        Returns:
            0.0 where it may be made, and is counted; else the seconds after which to ask again, or None:
            when a request that is under way has been settled.

        Raises:
            BudgetSpent: The budget has no room for it, now or later.
        """
        calls = self.spent.calls + self._open.calls
        if self._limits.max_calls is not None and calls + 1 > self._limits.max_calls:
            raise BudgetSpent(f"the budget is spent: {calls:,} calls, max_calls is reached")
        most = self._limits.max_cost_usd
        if most is not None and self.spent.cost_usd + self._open.cost_usd + at_most.cost_usd > most:
            if self._open.calls:
                return None
            raise BudgetSpent(
                f"the budget is spent: {self.spent.cost_usd:.4f} of max_cost_usd={most:g} after "
                f"{calls:,} calls, and the next one may cost {at_most.cost_usd:.4f}"
            )
        wait_s = max(
            self._requests.wait_s(1, now) if self._requests else 0.0,
            self._tokens.wait_s(at_most.tokens, now) if self._tokens else 0.0,
        )
        if wait_s:
            return wait_s
        if self._requests:
            self._requests.take(1)
        if self._tokens:
            self._tokens.take(at_most.tokens)
        self._open = Bill.total((self._open, at_most))
        return 0.0

    def settle(self, at_most: Bill, took: Bill) -> None:
        """Notes what an admitted request took.

        Args:
            at_most: What it was admitted with.
            took: What it took.
        """
        self.spent = Bill.total((self.spent, took))
        self._open = Bill(
            self._open.calls - at_most.calls,
            self._open.prompt_tokens - at_most.prompt_tokens,
            self._open.completion_tokens - at_most.completion_tokens,
            self._open.cost_usd - at_most.cost_usd if self._open.calls > at_most.calls else 0.0,
        )
        if self._tokens:
            self._tokens.take(took.tokens - at_most.tokens)
