"""From the settings to the judges of a process."""

from __future__ import annotations

from pathlib import Path

from writing_rl.errors import SettingError
from writing_rl.judging.cache import Cache, CacheMode
from writing_rl.judging.channel import Channel, own_slots
from writing_rl.judging.judge import Judge, ModelJudge, Templates
from writing_rl.judging.model import Model
from writing_rl.judging.offline_judge import OfflineJudge
from writing_rl.judging.prices import DEFAULT_TABLE, FREE, Price, price_of, read_prices
from writing_rl.judging.providers import Served, make_chat, provider_of
from writing_rl.judging.slots import SharedSlots, SlotPool
from writing_rl.settings import JudgeSettings


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
    cache = Cache(Path(settings.cache_file), settings.cache) if settings.cache is not CacheMode.OFF else None
    models: dict[str, Model | None] = {}
    for name in settings.models:
        if provider_of(name, settings) == "offline":
            models[name] = None
            continue
        chat = make_chat(name, settings, served)
        models[name] = Model(chat, channel, max_tokens=settings.max_tokens, price=prices[name], cache=cache)
    return models


def check_prices(settings: JudgeSettings) -> dict[str, Price | None]:
    """The price of each judge, None where it is not known.

    Raises:
        SettingError: The price table cannot be used, or a budget is set and the price of a judge not known.
    """
    path = Path(settings.prices).expanduser() if settings.prices else DEFAULT_TABLE
    table = read_prices(path)
    prices = {
        name: FREE if provider_of(name, settings) in ("offline", "verl") else price_of(name, table)
        for name in settings.models
    }
    unknown = [name for name, price in prices.items() if price is None]
    if unknown and settings.limits.max_cost_usd is not None:
        raise SettingError(
            f"max_cost_usd is set, but {path} holds no price of {unknown[0]}: add it there "
            f"({unknown[0]}: {{input: ..., output: ...}}, US dollars a million tokens)"
        )
    return prices


async def close_all(judges: tuple[Judge, ...]) -> None:
    """Closes the connections of some judges."""
    for judge in judges:
        await judge.close()


def describe(judges: tuple[Judge, ...]) -> str:
    """One line about some judges."""
    return ", ".join(judge.description for judge in judges)
