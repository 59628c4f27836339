"""Which price holds for a model: the user's own, else that of its seller, else the list price of its maker.

Prices come from the installed package `genai-prices` and, for DashScope, which it lacks, from
`config/judge_prices.yaml`. Nothing is fetched. `Price.source` says where a price is from: the name of a model
alone does not say who sends the bill.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from writing_rl.judging.client.prices import FREE, Price, Table, entry_of, read_prices

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

#: The prices of DashScope.
DASHSCOPE_TABLE = Path(__file__).parents[2] / "config" / "judge_prices.yaml"

#: Addresses of DashScope: the endings of their hosts, and the one that stands for its own SDK.
_DASHSCOPE_HOSTS = (".aliyuncs.com", ".alibabacloud.com")
DASHSCOPE = "https://dashscope.aliyuncs.com"

#: What names of models from DashScope begin with at other sellers and gateways.
_DASHSCOPE_PREFIXES = ("dashscope", "qwen", "alibaba")

OPENAI = "https://api.openai.com/v1"

#: Our rates, and what the package calls them; both in US dollars for a million tokens.
_RATES = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
}


def find_price(model: str, address: str | None, own: Table) -> Price | None:
    """The price of a model.

    Args:
        model: Its name at its endpoint.
        address: The endpoint; None is OpenAI.
        own: The user's prices, which come before all others.

    Returns:
        The price, or None where none is known.
    """
    if (found := entry_of(model, own)) is not None:
        name, entry = found
        if isinstance(entry, Price):
            return _from(entry, f"{name} in {entry.source}")
        # A deployment's name, billed as another model.
        billed_as = entry_of(entry, own)
        if billed_as and isinstance(billed_as[1], Price):
            return _from(billed_as[1], f"{name}, billed as {entry}, in {billed_as[1].source}")
        price = _listed(entry, address or OPENAI)
        return price and _from(price, f"{name}, billed as {price.source}")
    return _listed(model, address or OPENAI)


def data_date() -> str:
    """What the prices that come with the project are, and of which day: `genai-prices 0.2.3 of 2026-11-09`.

    The package does not say when its data was collected; the newest change of a price in it is the nearest.
    """
    return f"genai-prices {version('genai-prices')} of {_newest_change()}"


def _listed(model: str, address: str) -> Price | None:
    """The list price of a model at an address."""
    host = (urlsplit(address).hostname or "").lower()
    if host.endswith(_DASHSCOPE_HOSTS):
        return _at_dashscope(model, "DashScope")
    snapshot = _snapshot()
    try:
        provider = snapshot.find_provider(None, None, address)
    except LookupError:
        return _of_maker(model, host, snapshot)
    return _in_package(model, provider, snapshot, f"at {provider.name}")


def _of_maker(model: str, host: str, snapshot: DataSnapshot) -> Price | None:
    """The list price of whoever made a model, for an address of which no prices are known."""
    seller, slash, name = model.partition("/")
    where = f"list price, as none is known of {host}"
    if not slash or seller.lower() in _DASHSCOPE_PREFIXES:
        bare = name if slash else model
        if price := _at_dashscope(bare, f"DashScope's {where}"):
            return price
    if slash:
        provider = next((one for one in snapshot.providers if one.id == seller.lower()), None)
        return _in_package(name, provider, snapshot, f"{provider.name}'s {where}") if provider else None
    try:
        provider = snapshot.find_provider(model.lower(), None, None)
    except LookupError:
        return None
    return _in_package(model, provider, snapshot, f"{provider.name}'s {where}")


def _at_dashscope(model: str, where: str) -> Price | None:
    table, date = _dashscope()
    found = entry_of(model, table)
    if found is not None and isinstance(found[1], str):
        found = entry_of(found[1], table)
    if found is None or isinstance(found[1], str):
        return None
    return _from(found[1], f"{found[0]}: {where}, judge_prices.yaml of {date}")


def _in_package(model: str, provider: Provider, snapshot: DataSnapshot, where: str) -> Price | None:
    info = provider.find_model(model, all_providers=snapshot.providers)
    if info is None:
        return None
    price = _dearest(info)
    return price and _from(price, f"{info.id}: {where}, {data_date()}")


def _dearest(info: ModelInfo) -> Price | None:
    """The price of a model today, in its dearest hours where they differ: a budget must not be overdrawn."""
    midnight = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    hours = [_converted(info, info.get_prices(midnight + timedelta(minutes=15 * n))) for n in range(4 * 24)]
    known = [price for price in hours if price is not None]
    return max(known, key=lambda price: price.of(1_000, 1_000)) if len(known) == len(hours) else None


def _converted(info: ModelInfo, prices: ModelPrice) -> Price | None:
    """A price of the package in our form; None where it says nothing of tokens read and written."""
    listed: dict[str, Any] = {ours: getattr(prices, theirs) for ours, theirs in _RATES.items()}
    requests = getattr(prices, "requests_kcount", None)
    if listed["input"] is None or listed["output"] is None:
        is_free = info.id.endswith(":free") and not any(vars(prices).values())
        return replace(FREE) if is_free else None
    every = [value for value in (*listed.values(), requests) if value is not None]
    starts = sorted({tier.start for value in every for tier in getattr(value, "tiers", ())})

    def rates(read: int) -> Price:
        values: dict[str, Any] = {
            name: _rate(value, read) for name, value in listed.items() if value is not None
        }
        return replace(FREE, **values, per_request=_rate(requests, read) / 1_000 if requests else 0.0)

    return replace(rates(1), above=tuple((start, rates(start + 1)) for start in starts if start > 0))


def _rate(value: Decimal | TieredPrices, read: int) -> float:
    """A rate of the package for a request that reads so many tokens."""
    if isinstance(value, Decimal):
        return float(value)
    return float(next((tier.price for tier in reversed(value.tiers) if read > tier.start), value.base))


def _from(price: Price, source: str) -> Price:
    return replace(price, source=source)


@functools.cache
def _dashscope() -> tuple[Table, str]:
    """The table of DashScope, and its date."""
    lines = DASHSCOPE_TABLE.read_text(encoding="utf-8").splitlines()
    date = next(line.removeprefix("# Date:").strip() for line in lines if line.startswith("# Date:"))
    return read_prices(DASHSCOPE_TABLE), date


def _snapshot() -> DataSnapshot:
    """The package's data, as installed. Half a second and 20 MB, so only where a price is looked up."""
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot()


@functools.cache
def _newest_change() -> str:
    today = datetime.now(timezone.utc).date()
    days = [
        day
        for provider in _snapshot().providers
        for model in provider.models
        if isinstance(model.prices, list)
        for price in model.prices
        if (day := getattr(price.constraint, "start_date", None)) is not None and day <= today
    ]
    return max(days).isoformat()
