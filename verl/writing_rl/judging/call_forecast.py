"""What calls will take, before the first is paid for: tokens and dollars, by the arithmetic of the budget."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence

from writing_rl.judging.client.budget import Limits
from writing_rl.judging.client.chat_model import Messages
from writing_rl.judging.client.prices import FREE, Price, most_of, most_output_tokens
from writing_rl.judging.factory import check_prices, how_to_price
from writing_rl.judging.judge import Question, Templates
from writing_rl.judging.pairs import Pair
from writing_rl.judging.settings import JudgeSettings
from writing_rl.util.console import say

#: Bytes of a token, about, in any language.
BYTES_A_TOKEN = 4

#: Tokens of an answer, about: of a judge, and of a model that writes.
JUDGE_TOKENS, TEXT_TOKENS = 400, 1_500


class CallForecast:
    """The calls of one stage.

    Attributes:
        calls: How many.
        about_usd: Dollars with answers of usual length; those of models without a known price are not in it.
        most_usd: Dollars at most, each call answered once; likewise.
    """

    def __init__(self, what: str, answer_tokens: int = JUDGE_TOKENS) -> None:
        """Has no calls yet.

        Args:
            what: What the calls are for, such as `grades`.
            answer_tokens: Tokens of an answer, about.
        """
        self._what = what
        self._answer_tokens = answer_tokens
        self._models: dict[str, tuple[Price | None, JudgeSettings]] = {}
        self._calls: Counter[str] = Counter()
        self._read = 0.0
        self._most_written = 0
        self.about_usd = self.most_usd = 0.0

    @property
    def calls(self) -> int:
        """How many calls there are."""
        return self._calls.total()

    def include(self, settings: JudgeSettings) -> None:
        """Makes the models of some settings known.

        Raises:
            SettingError: A budget is set and the price of one of them not known.
        """
        for name, price in check_prices(settings).items():
            self._models[name] = (price, settings)

    def add(self, model: str, messages: Messages, times: int = 1) -> None:
        """Adds calls of a model.

        Args:
            model: One that was included.
            messages: What is asked.
            times: How often.
        """
        price, settings = self._models[model]
        self._calls[model] += times
        if price is FREE:
            return
        request = {**settings.learnt.get(model, {}), **settings.request_of(model)}
        written = most_output_tokens(request, settings.max_tokens)
        most = most_of(messages, written, price, request)
        read, answer = most.prompt_tokens // BYTES_A_TOKEN, min(written, self._answer_tokens)
        self._read += times * read
        self._most_written += times * written
        if price is not None:
            self.about_usd += times * price.of(read, answer)
            self.most_usd += times * most.cost_usd

    def add_to_all(self, messages: Messages, times: int = 1) -> None:
        """Adds calls of every model that was included."""
        for model in self._models:
            self.add(model, messages, times)

    def lines(self) -> list[str]:
        """What a person is told of it: a line, and another for each model without a price."""
        names = [name for name in self._models if self._calls[name]]
        if not names:
            return []
        calls = f"{self._what}: {_count(self.calls, 'call')} to {', '.join(names)}"
        prices = {name: self._models[name][0] for name in names}
        if all(price is FREE for price in prices.values()):
            return [f"{calls}, at no cost"]
        tokens = f"about {_short(self._read)} tokens in and at most {_short(self._most_written)} out"
        known = [price for price in prices.values() if price is not None and price is not FREE]
        unknown = [name for name, price in prices.items() if price is None]
        if not known:
            cost = "the cost is not known"
        else:
            cost = f"about ${self.about_usd:.2f} with {self._answer_tokens:,} tokens an answer, "
            cost += f"at most ${self.most_usd:.2f}"
            cost += f", without {', '.join(unknown)}" if unknown else ""
            cost += f" ({'; '.join(dict.fromkeys(price.source for price in known))})"
        return [
            f"{calls}, {tokens}: {cost}",
            *(how_to_price(name, self._models[name][1]) for name in unknown),
        ]


def of_pairs(
    pairs: Iterable[Pair], settings: JudgeSettings, templates: Templates, orders: int
) -> CallForecast:
    """The calls that compare pairs; a pair with an empty text takes none.

    Args:
        pairs: What is compared.
        settings: Who judges.
        templates: The instructions.
        orders: How often each judge sees a pair.
    """
    forecast = CallForecast("comparisons")
    forecast.include(settings)
    for pair in pairs:
        if pair.response_a.strip() and pair.response_b.strip():
            question = Question(pair.prompt, pair.response_a, pair.response_b, pair.criteria)
            forecast.add_to_all(templates.messages(question), orders)
    return forecast


def announce(stages: Sequence[CallForecast], limits: Limits) -> None:
    """Tells what the stages of a start will take, and how far its limits let it come, on stderr."""
    for line in lines_of(stages, limits):
        say(line, file=sys.stderr)


def lines_of(stages: Iterable[CallForecast], limits: Limits) -> list[str]:
    """What `announce` tells."""
    stages = list(stages)
    calls = sum(stage.calls for stage in stages)
    about, most = sum(stage.about_usd for stage in stages), sum(stage.most_usd for stage in stages)
    lines = [line for stage in stages for line in stage.lines()]
    if limits.max_calls is not None and limits.max_calls < calls:
        lines.append(
            f"--max-calls {limits.max_calls} ends this start after {limits.max_calls:,} of {calls:,} calls"
        )
    budget = limits.max_cost_usd
    if budget is not None and budget < about:
        reach = int(calls * budget / about)
        lines.append(f"--max-cost-usd {budget:g} ends this start after about {reach:,} of {calls:,} calls")
    elif budget is not None and budget < most:
        lines.append(f"--max-cost-usd {budget:g} may end this start before the last call")
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _short(tokens: float) -> str:
    """A number of tokens with two digits or more: 950, 12,300, 3.1 M."""
    return f"{tokens / 1e6:,.1f} M" if tokens >= 1e6 else f"{float(f'{tokens:.3g}'):,.0f}"
