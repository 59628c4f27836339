"""Asking the judges of a run some real questions, to know how long they take and what they cost."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

from writing_rl.dataset.samples import Sample
from writing_rl.errors import JudgeError
from writing_rl.judging.client.budget import Limits
from writing_rl.judging.client.prices import Price, most_output_tokens
from writing_rl.judging.compare import Comparison, compare
from writing_rl.judging.factory import check_prices, close_all, make_channel, make_judges
from writing_rl.judging.settings import CacheMode, JudgeSettings
from writing_rl.launch.forecast import JudgeMeasured

#: Tokens of the instructions around the texts, about, for the sum that is said before asking.
INSTRUCTIONS = 600


def announce(settings: JudgeSettings, samples: Sequence[Sample], count: Callable[[str], int]) -> str:
    """What the questions may cost at most, in a line.

    Args:
        settings: The judges.
        samples: One for each question.
        count: Counts the tokens of a text.
    """
    read = [INSTRUCTIONS + sum(count(text) for text in (*_pair(sample), sample.prompt)) for sample in samples]
    prices = check_prices(settings)
    written = {name: most_output_tokens(settings.request_of(name), settings.max_tokens) for name in prices}
    known = [
        sum(price.at_most(tokens, written[name]) for tokens in read)
        for name, price in prices.items()
        if price is not None
    ]
    cost = f"at most ${sum(known):.2f}" if len(known) == len(prices) else "at a price that is not known"
    questions = "1 real question" if len(samples) == 1 else f"{len(samples)} real questions"
    return f"asking {', '.join(settings.models)} {questions}, about {sum(read):,} tokens to read, {cost}"


def measure(settings: JudgeSettings, samples: Sequence[Sample], count: Callable[[str], int]) -> JudgeMeasured:
    """Asks each judge to compare the first with the last reference of each sample.

    Args:
        settings: The judges; their limits do not hold here, and the cache is not used.
        samples: One for each question.
        count: Counts the tokens of a text.

    Raises:
        JudgeError: No question was answered.
    """
    comparisons = asyncio.run(_ask(settings, samples))
    answers = [call.answer for comparison in comparisons for call in comparison.calls]
    if not answers:
        first = comparisons[0]
        raise JudgeError(f"the judge answered no question ({first.reason}: {first.detail})")
    prices = list(check_prices(settings).values())
    known = [price for price in prices if price is not None]
    complete = len(known) == len(prices)
    read = statistics.fmean(answer.prompt_tokens for answer in answers)
    written = statistics.fmean(answer.completion_tokens for answer in answers)
    thought = any(answer.thinking_tokens for answer in answers)
    rates = [_rates(price, round(read), round(written), thought=thought) for price in known]
    return JudgeMeasured(
        seconds=statistics.median(answer.latency_s for answer in answers),
        prompt_tokens=read,
        completion_tokens=written,
        text_tokens=statistics.fmean(count(text) for sample in samples for text in _pair(sample)),
        input_usd=statistics.fmean(input_usd for input_usd, _ in rates) if complete else None,
        output_usd=statistics.fmean(output_usd for _, output_usd in rates) if complete else None,
    )


def _rates(price: Price, read: int, written: int, *, thought: bool) -> tuple[float, float]:
    """Dollars of a token read and of one written, at the length and with the thinking that were measured."""
    read, written = max(read, 1), max(written, 1)
    reading = price.of(read, 0, thought=thought)
    return reading / read, (price.of(read, written, thought=thought) - reading) / written


async def _ask(settings: JudgeSettings, samples: Sequence[Sample]) -> list[Comparison]:
    from verl.utils.reward_score.writing_rl import TEMPLATES

    settings = replace(settings, limits=Limits(), cache=CacheMode.OFF)
    judges = make_judges(settings, TEMPLATES, make_channel(settings))
    try:
        return await asyncio.gather(
            *(
                compare(
                    judges,
                    settings.rules,
                    prompt=sample.prompt,
                    response=response,
                    reference=reference,
                    criteria=sample.criteria,
                )
                for sample in samples
                for reference, response in [_pair(sample)]
            )
        )
    finally:
        await close_all(judges)


def _pair(sample: Sample) -> tuple[str, str]:
    return sample.references[0], sample.references[-1]
