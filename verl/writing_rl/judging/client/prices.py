"""What a model's answers cost: rates by the length of the input, for cached input and for thinking.

Where prices come from stands in `price_lookup`; here is the arithmetic, and the form of a table.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from writing_rl.errors import SettingError
from writing_rl.judging.client.budget import Bill
from writing_rl.judging.client.chat_model import Messages

#: Tokens that a provider adds to a message for its role and its bounds, at most.
TOKENS_OF_A_MESSAGE = 16

#: Tokens of an answer at most where the request sets no limit: what the largest models can write.
MOST_OUTPUT_TOKENS = 131_072

#: Tokens of thinking at most where DashScope is told to think and given no `thinking_budget`.
MOST_THINKING_TOKENS = 81_920

#: What providers call the most tokens that a model may write.
OUTPUT_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens")

#: What an entry of a table may hold, in US dollars for a million tokens.
RATES = ("input", "output", "cached_input", "cache_write", "thinking_output")


@dataclass(frozen=True)
class Price:
    """The price of one model, in US dollars for a million tokens.

    Attributes:
        input: Of tokens read.
        output: Of tokens written.
        cached_input: Of tokens read that the provider had in its cache; None: as any others.
        cache_write: Of tokens read that it put into its cache; None: as any others.
        thinking_output: Of all tokens of an answer with thinking; None: as of one without.
        per_request: US dollars of a request, whatever its length.
        above: The price of requests that read more than so many tokens, the smallest number first.
        source: Where it comes from, for people.
    """

    input: float
    output: float
    cached_input: float | None = None
    cache_write: float | None = None
    thinking_output: float | None = None
    per_request: float = 0.0
    above: tuple[tuple[int, Price], ...] = ()
    source: str = field(default="", compare=False)

    def of(self, read: int, written: int, *, cached: int = 0, stored: int = 0, thought: int = 0) -> float:
        """US dollars for one request.

        Args:
            read: Tokens read in all.
            written: Tokens written in all, thinking included.
            cached: Those read that were in the provider's cache.
            stored: Those read that went into it.
            thought: Those written that are thinking.
        """
        rates = next((price for start, price in reversed(self.above) if read > start), self)
        cached = min(cached, read)
        stored = min(stored, read - cached)
        dollars = (read - cached - stored) * rates.input
        dollars += cached * (rates.input if rates.cached_input is None else rates.cached_input)
        dollars += stored * (rates.input if rates.cache_write is None else rates.cache_write)
        dollars += written * (rates._thinking if thought else rates.output)
        return dollars / 1e6 + rates.per_request

    def at_most(self, read: int, written: int, *, thinks: bool = True) -> float:
        """US dollars for one request that takes no more tokens than these.

        Args:
            read: Tokens read.
            written: Tokens written.
            thinks: Whether the answer may hold thinking.
        """
        possible = [self, *(price for start, price in self.above if read > start)]
        return max(
            (
                read * max(price.input, price.cache_write or 0.0)
                + written * (max(price.output, price._thinking) if thinks else price.output)
            )
            / 1e6
            + price.per_request
            for price in possible
        )

    @property
    def _thinking(self) -> float:
        return self.output if self.thinking_output is None else self.thinking_output

    def __str__(self) -> str:
        parts = [f"${self.input:g} a million tokens read"]
        if self.cached_input is not None and self.cached_input != self.input:
            parts[-1] += f" (${self.cached_input:g} from the cache)"
        parts.append(f"${self.output:g} written")
        if self.thinking_output is not None and self.thinking_output != self.output:
            parts[-1] += f" (${self.thinking_output:g} with thinking)"
        if self.per_request:
            parts.append(f"${self.per_request:g} a request")
        parts += [
            f"above {start:,} tokens ${price.input:g} and ${price.output:g}" for start, price in self.above
        ]
        return ", ".join(parts)


#: The price of what runs on a machine of one's own.
FREE = Price(0.0, 0.0)

#: A table: model -> its price, or the name of another model that it is billed as.
Table = Mapping[str, Price | str]


def read_prices(path: Path) -> dict[str, Price | str]:
    """Reads a table of prices in US dollars for a million tokens.

    An entry is `model: {input: 1, output: 2}`, with `cached_input`, `cache_write`, `thinking_output` and
    `above: {tokens: {input: ..., output: ...}}` where a provider has such prices, or `model: name of another
    model`, which a deployment or a gateway's own name is billed as.

    Raises:
        SettingError: The file is missing or an entry cannot be used; the message names it.
    """
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        cause = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise SettingError(f"the price table {path} cannot be read: {cause}") from None
    if not isinstance(table, Mapping):
        raise SettingError(f"the price table {path} is not a table of models")
    return {str(model): _entry(entry, f"{path}, model {model}", path) for model, entry in table.items()}


def entry_of(model: str, table: Table) -> tuple[str, Price | str] | None:
    """The entry of a table for a model: of its name, in any case, without a date or `-latest` if need be."""
    plain = _undated(model)
    for name, entry in table.items():
        if name.lower() == model.lower():
            return name, entry
    return next(((name, entry) for name, entry in table.items() if name.lower() == plain), None)


def line_to_add(model: str) -> str:
    """The line of a table of prices that a model lacks; YAML."""
    plain = re.fullmatch(r"[A-Za-z][\w./-]*", model, re.ASCII) and yaml.safe_load(model) == model
    name = model if plain else yaml.safe_dump(model, default_style='"', width=math.inf).strip()
    return f"{name}: {{input: ..., output: ...}}"


def most_output_tokens(request: Mapping[str, Any], default: int) -> int:
    """How many tokens a request may be billed as written, at most.

    OpenAI, OpenRouter, vLLM and most others count thinking within `max_tokens` or `max_completion_tokens`;
    DashScope counts `thinking_budget` on top of it, and thinks as long as the model can where it is told to
    think without a budget. `n` answers are billed as so many.

    Args:
        request: Fields of the request that replace or remove those sent by default; null removes one.
        default: `max_tokens` without them.
    """
    limits = [_count(request[name]) for name in OUTPUT_LIMITS if name in request]
    known = [limit for limit in limits if limit is not None]
    # Removed, and nothing in its place: as much as the model can.
    tokens = max(known) if known else MOST_OUTPUT_TOKENS if limits else default
    budgets = [
        _count(request.get("thinking_budget")),
        _count(_field(request.get("thinking"), "budget_tokens")),
        _count(_field(request.get("reasoning"), "max_tokens")),
    ]
    if any(budget is not None for budget in budgets):
        tokens += max(budget for budget in budgets if budget is not None)
    elif request.get("enable_thinking") is True:
        tokens += MOST_THINKING_TOKENS
    return tokens * max(1, _count(request.get("n")) or 1)


def most_of(
    messages: Messages, max_tokens: int, price: Price | None, request: Mapping[str, Any] | None = None
) -> Bill:
    """What a request can take at most: no tokenizer makes more tokens than there are bytes.

    Args:
        messages: What is asked.
        max_tokens: Most tokens of the answer; see `most_output_tokens`.
        price: The price, or None where it is not known.
        request: Further fields of the request, of which some (a schema, tools) are read by the model, too.
    """
    request = request or {}
    tokens = sum(
        len(str(message["content"]).encode("utf-8", "replace")) + TOKENS_OF_A_MESSAGE for message in messages
    )
    if request:
        tokens += len(json.dumps(request, default=str).encode())
    thinks = request.get("enable_thinking") is not False
    return Bill(1, tokens, max_tokens, price.at_most(tokens, max_tokens, thinks=thinks) if price else 0.0)


def _undated(model: str) -> str:
    return re.sub(r"-(latest|20\d\d-?\d\d-?\d\d)$", "", model.lower())


def _count(value: object) -> int | None:
    whole = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return max(0, math.ceil(value)) if whole else None  # type: ignore[call-overload]


def _field(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, Mapping) else None


def _entry(entry: object, place: str, path: Path) -> Price | str:
    if isinstance(entry, str) and entry.strip():
        return entry.strip()
    if not isinstance(entry, Mapping):
        raise SettingError(f"{place}: it must be {{input: ..., output: ...}}, US dollars a million tokens")
    price = _price({name: value for name, value in entry.items() if name != "above"}, place)
    above = entry.get("above") or {}
    if not isinstance(above, Mapping):
        raise SettingError(f"{place}: above must be {{tokens: {{input: ..., output: ...}}}}")
    tiers = []
    for start, rates in above.items():
        if isinstance(start, bool) or not isinstance(start, int) or start < 1:
            raise SettingError(f"{place}: above has {start!r}, it must be a number of tokens")
        tiers.append((start, _price(rates, f"{place}, above {start}")))
    return replace(price, above=tuple(sorted(tiers, key=lambda tier: tier[0])), source=str(path))


def _price(entry: object, place: str) -> Price:
    if not isinstance(entry, Mapping) or not {"input", "output"} <= set(entry):
        raise SettingError(f"{place}: it must be {{input: ..., output: ...}}, US dollars a million tokens")
    for name, value in entry.items():
        if name not in RATES:
            raise SettingError(f"{place}: {name!r} is not known there: choose from {', '.join(RATES)}")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value < 0:
            raise SettingError(f"{place}: {name} is {value!r}, it must be a number of US dollars")
    rates: dict[str, Any] = {name: float(value) for name, value in entry.items()}
    return replace(FREE, **rates)
