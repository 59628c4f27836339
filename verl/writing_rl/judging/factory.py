"""From the settings to the judges of a process."""

from __future__ import annotations

from pathlib import Path

from writing_rl.errors import SettingError
from writing_rl.judging.client.model import Model
from writing_rl.judging.client.prices import FREE, Price, Table, line_to_add, read_prices
from writing_rl.judging.client.request_queue import Channel, own_slots
from writing_rl.judging.client.slots import SharedSlots, SlotPool
from writing_rl.judging.judge import Judge, ModelJudge, Templates
from writing_rl.judging.providers import Served, make_chat, provider_of
from writing_rl.judging.settings import CacheMode, JudgeSettings


def make_channel(
    settings: JudgeSettings, slots: SharedSlots | None = None, *, learns: bool = True
) -> Channel:
    """A process's way to its judges.

    Args:
        settings: How judges are asked.
        slots: The process's use of the run's pool; None makes a pool for this process alone.
        learns: Whether hanging requests are given up by how long answers take, or after the time-out alone.
    """
    if slots is None:
        pool = SlotPool(settings.parallel, settings.limits)
        slots = own_slots(pool, metered=settings.limits.any)
    return Channel(
        slots,
        max_retries=settings.max_retries,
        request_timeout_s=settings.request_timeout_s,
        outage_s=settings.longest_outage_s,
        learns=learns,
    )


def make_judges(
    settings: JudgeSettings, templates: Templates, channel: Channel, served: Served | None = None
) -> tuple[Judge, ...]:
    """The judges that the settings name, in their order.

    Args:
        settings: Which, and how they are asked.
        templates: Their instructions.
        channel: This process's way to them.
        served: The judge that verl serves, where it does.

    Raises:
        SettingError: A judge lacks what it needs, such as a key, or a budget is set and its price not known.
    """
    from writing_rl.judging.offline.judge import OfflineJudge

    models = make_models(settings, channel, served)
    return tuple(
        ModelJudge(name, model, templates) if model else OfflineJudge(channel)
        for name, model in models.items()
    )


def make_models(
    settings: JudgeSettings, channel: Channel, served: Served | None = None
) -> dict[str, Model | None]:
    """The models that the settings name, in their order; the offline judge is none, and so is None.

    Arguments and errors as those of `make_judges`.
    """
    prices = check_prices(settings)
    cache = None
    if settings.cache is not CacheMode.OFF:
        from writing_rl.judging.client.cache import Cache

        cache = Cache(Path(settings.cache_file), read_only=settings.cache is CacheMode.READ)
    models: dict[str, Model | None] = {}
    for name in settings.models:
        if provider_of(name, settings) == "offline":
            models[name] = None
            continue
        chat = make_chat(name, settings, served)
        models[name] = Model(
            chat,
            channel,
            max_tokens=settings.max_tokens,
            price=prices[name],
            cache=cache,
            request=settings.request_of(name),
        )
    return models


def check_prices(settings: JudgeSettings) -> dict[str, Price | None]:
    """The price of each judge, None where it is not known.

    Raises:
        SettingError: The price table cannot be used, or a budget is set and the price of a judge not known.
    """
    own = read_prices(Path(settings.prices).expanduser()) if settings.prices else {}
    prices = {name: _price_of(name, settings, own) for name in settings.models}
    unknown = [name for name, price in prices.items() if price is None]
    if unknown and settings.limits.max_cost_usd is not None:
        raise SettingError(f"max_cost_usd is set, but {how_to_price(unknown[0], settings)}")
    return prices


def how_to_price(model: str, settings: JudgeSettings) -> str:
    """What to do where no price of a model is known, in one line."""
    file = settings.prices or "a file that writing_rl.judge.prices (or --prices) names"
    return (
        f"no price of {model} is known: add the line `{line_to_add(model)}`, in US dollars a million tokens, "
        f"to {file}"
    )


def price_lines(settings: JudgeSettings) -> list[str]:
    """Which price each judge is counted with, or how to add one; nothing for those without a bill."""
    return [
        how_to_price(name, settings) if price is None else f"price of {name}: {price} ({price.source})"
        for name, price in check_prices(settings).items()
        if price is not FREE
    ]


def _price_of(model: str, settings: JudgeSettings, own: Table) -> Price | None:
    provider = provider_of(model, settings)
    if provider in ("offline", "verl"):
        return FREE
    # Imported here: it reads the prices of all sellers.
    from writing_rl.judging.client.price_lookup import DASHSCOPE, find_price

    return find_price(model, DASHSCOPE if provider == "dashscope" else settings.base_url, own)


async def close_all(judges: tuple[Judge, ...]) -> None:
    """Closes the connections of some judges."""
    for judge in judges:
        await judge.close()


def describe(judges: tuple[Judge, ...]) -> str:
    """One line about some judges."""
    return ", ".join(judge.description for judge in judges)
