"""What a judge's answers cost: prices by model, from a table that people edit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from writing_rl.errors import SettingError
from writing_rl.judging.chat import Messages
from writing_rl.judging.limits import Bill

#: The table that comes with the project.
DEFAULT_TABLE = Path(__file__).parents[1] / "config" / "judge_prices.yaml"

#: Tokens that a provider adds to a message for its role and its bounds, at most.
TOKENS_OF_A_MESSAGE = 16


@dataclass(frozen=True)
class Price:
    """The price of one model.

    Attributes:
        input: US dollars for a million tokens read.
        output: US dollars for a million tokens written.
    """

    input: float
    output: float

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """US dollars for some tokens."""
        return (prompt_tokens * self.input + completion_tokens * self.output) / 1e6


#: The price of what is asked on a machine of one's own.
FREE = Price(0.0, 0.0)


def read_prices(path: Path) -> dict[str, Price]:
    """Reads a table: `model: {input: ..., output: ...}`, in US dollars for a million tokens.

    Raises:
        SettingError: The file is missing or an entry cannot be used; the message names it.
    """
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        cause = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise SettingError(f"the price table {path} cannot be read: {cause}") from None
    if not isinstance(table, Mapping):
        raise SettingError(f"the price table {path} is no table of models")
    return {str(model): _price(entry, f"{path}, model {model}") for model, entry in table.items()}


def price_of(model: str, prices: Mapping[str, Price]) -> Price | None:
    """The price of a model: the entry whose name it has or, as `gpt-4.1-2025-04-14`, begins with."""
    names = [name for name in prices if model == name or model.startswith(f"{name}-20")]
    return prices[max(names, key=len)] if names else None


def most_of(messages: Messages, max_tokens: int, price: Price | None) -> Bill:
    """What a request can take at most: no tokenizer makes more tokens than there are bytes."""
    tokens = sum(
        len(message["content"].encode("utf-8", "replace")) + TOKENS_OF_A_MESSAGE for message in messages
    )
    return Bill(1, tokens, max_tokens, price.of(tokens, max_tokens) if price else 0.0)


def _price(entry: object, place: str) -> Price:
    if not isinstance(entry, Mapping) or set(entry) != {"input", "output"}:
        raise SettingError(f"{place}: it must be {{input: ..., output: ...}}, US dollars a million tokens")
    for name, value in entry.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value < 0:
            raise SettingError(f"{place}: {name} is {value!r}, it must be a number of US dollars")
    return Price(float(entry["input"]), float(entry["output"]))
