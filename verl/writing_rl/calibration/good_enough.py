"""Whether a judge is good enough to train with, by how far it agrees with people. Pure functions.

A pairwise reward is of use when the judge prefers the better text clearly more often than chance, in the
strategy that is used. A strategy is good enough when all of this holds:

- Of the pairs that both people and judge decide, it decides enough as people do: the lower end of the
  interval of `accuracy_without_ties` is at least `accuracy` (0.5 is chance).
- One order: the position decides little; |`position_bias`| is at most `bias` over its whole interval.
  Both orders: the bias cancels out, yet each flip becomes a tie, which teaches nothing; the `flip_rate` is at
  most `flips` over its whole interval. A judge that tosses coins flips half of the time.
- At most the share `unscored` of the comparisons gets no verdict.

It is not good enough when one of these intervals lies wholly on the wrong side. Otherwise it is not decided,
and neither is what was measured on fewer than `prompts` different prompts: an interval of few is not to be
trusted.

Intervals shrink with the square root of the number of pairs (normal approximation), which says how many more
are needed until the limit lies outside, if the figure stays what it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from writing_rl.calibration.agreement import DECIDED, FLIP_RATE, POSITION_BIAS, UNSCORED, Figure, name_of
from writing_rl.calibration.requirements import Requirements
from writing_rl.judging.verdict import Strategy

#: The order that a strategy asks in, where `response_a` stands in for the policy.
ORDER_OF = {Strategy.DISADVANTAGE: "swapped", Strategy.ADVANTAGE: "given", Strategy.BOTH: "both"}

#: More pairs are not worth naming: a figure lies on its limit, or nothing measures it.
_MOST_PAIRS = 1_000_000


@dataclass(frozen=True)
class Check:
    """One requirement and what was measured.

    Attributes:
        text: Both in words.
        met: Whether it is met; None where that is not decided.
        times: How many times as many pairs would decide it; infinite where none would.
    """

    text: str
    met: bool | None
    times: float = 1.0


@dataclass(frozen=True)
class Decision:
    """Whether a strategy is good enough.

    Attributes:
        strategy: The strategy.
        good: The answer; None where it is not decided.
        checks: The requirements.
        more_pairs: About how many more labelled pairs are needed to decide; 0 where it is decided, None where
            no reasonable number would do.
    """

    strategy: Strategy
    good: bool | None
    checks: tuple[Check, ...]
    more_pairs: int | None = 0

    @property
    def answer(self) -> str:
        """The answer in words."""
        if self.good is not None:
            return "good enough" if self.good else "not good enough"
        if self.more_pairs is None:
            return "not decided, and more pairs like these would hardly decide it"
        return f"not decided: about {self.more_pairs:,} more pairs"

    @property
    def reasons(self) -> list[str]:
        """The requirements that the answer rests on."""
        return [check.text for check in self.checks if check.met is self.good]


def decide(figures: Mapping[str, Figure], requirements: Requirements) -> list[Decision]:
    """Decides for each strategy.

    Args:
        figures: Those of `agreement.measure`.
        requirements: What is asked.
    """
    decisions = []
    for strategy in Strategy:
        checks = tuple(_checks(figures, requirements, strategy))
        answers = {check.met for check in checks}
        good = False if False in answers else None if None in answers else True
        more: int | None = 0
        if good is None:
            pairs = figures[name_of(UNSCORED, ORDER_OF[strategy])].count
            times = max(check.times for check in checks)
            needed = pairs * (times - 1)
            more = _rounded_up(needed) if needed <= _MOST_PAIRS else None
        decisions.append(Decision(strategy, good, checks, more))
    return decisions


def _checks(figures: Mapping[str, Figure], asked: Requirements, strategy: Strategy) -> Iterator[Check]:
    order = ORDER_OF[strategy]
    accuracy = figures[name_of(DECIDED, order)]
    text = f"accuracy without ties {accuracy}, at least {asked.accuracy:g} asked"
    yield _check(text, accuracy, asked.accuracy, asked.prompts, least=True)
    if strategy is Strategy.BOTH:
        flips = figures[FLIP_RATE]
        text = f"flip rate {flips}, at most {asked.flips:g} asked"
        yield _check(text, flips, asked.flips, asked.prompts)
    else:
        bias = figures[POSITION_BIAS]
        text = f"position bias {bias:+.3f}, at most {asked.bias:g} either way asked"
        yield _check(text, _size(bias), asked.bias, asked.prompts)
    unscored = figures[name_of(UNSCORED, order)]
    share = replace(unscored, low=unscored.value, high=unscored.value)
    text = f"unscored {share.value:.1%}, at most {asked.unscored:.1%} asked"
    yield _check(text, share, asked.unscored, asked.prompts)


def _rounded_up(number: float) -> int:
    """A whole number of two digits and zeros, since no more of it is known."""
    unit = 10 ** max(0, math.floor(math.log10(max(1.0, number))) - 1)
    return max(1, math.ceil(number / unit)) * unit


def _size(figure: Figure) -> Figure:
    """The absolute value of a figure."""
    low, high = sorted((abs(figure.low), abs(figure.high)))
    low = 0.0 if figure.low <= 0 <= figure.high else low
    return replace(figure, value=abs(figure.value), low=low, high=high)


def _check(text: str, figure: Figure, limit: float, prompts: int, *, least: bool = False) -> Check:
    if figure.prompts < prompts:
        text = f"{text} (measured on {figure.prompts} prompts, at least {prompts} asked)"
        return Check(text, None, prompts / figure.prompts if figure.prompts else math.inf)
    if figure.low >= limit if least else figure.high <= limit:
        return Check(text, True)
    if figure.high < limit if least else figure.low > limit:
        return Check(text, False)
    distance = figure.value - limit
    return Check(text, None, ((figure.high - figure.low) / 2 / distance) ** 2 if distance else math.inf)
