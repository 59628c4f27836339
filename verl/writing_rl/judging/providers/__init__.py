"""Who is asked for a model: the table of providers. A new provider is one small module and one line here.

A provider implements `Chat`; retries, limits, prices and the cache are the same for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from writing_rl.errors import SettingError
from writing_rl.judging.client.chat_model import Chat
from writing_rl.judging.providers.checked import CheckedChat
from writing_rl.judging.settings import JudgeSettings

#: Beginning of a model's name -> its provider. The longest beginning counts; "" is any other model.
PROVIDER_OF_MODEL = {
    "": "openai",
    "qwen": "dashscope",
    "qwen/": "openai",  # a model of the hub, as self-hosted endpoints call it
    "verl": "verl",
    "offline": "offline",
}


class Served(NamedTuple):
    """A model without a bill: the judge that verl serves in a run, or a checkpoint that a script serves.

    Attributes:
        address: `host:port` of verl's router, or of the server.
        model: The model as its servers call it (`reward.reward_model.model_path`).
        check: Raises where the server has ended, as far as this process can know.
    """

    address: str
    model: str
    check: Callable[[], None] | None = None


def provider_of(model: str, settings: JudgeSettings) -> str:
    """The provider of a model: as set, or that of the endpoint that is set, or by the model's name."""
    if (chosen := _longest(model, settings.providers)) is not None:
        if chosen not in (*PROVIDERS, "offline"):
            names = ", ".join((*PROVIDERS, "offline"))
            raise SettingError(f"writing_rl.judge.providers names {chosen!r}: choose one of {names}")
        return chosen
    known = _longest(model, PROVIDER_OF_MODEL)
    assert known is not None
    return "openai" if settings.base_url and known == "dashscope" else known


def make_chat(model: str, settings: JudgeSettings, served: Served | None = None) -> Chat:
    """A model at its provider.

    Args:
        model: Its name.
        settings: How it is asked.
        served: The judge that verl serves, where it does.

    Raises:
        SettingError: It lacks what its provider needs, such as a key.
    """
    return PROVIDERS[provider_of(model, settings)](model, settings, served)


def _openai(model: str, settings: JudgeSettings, served: Served | None) -> Chat:
    # Imported here, as below: a run pays for the client that it uses.
    from writing_rl.judging.providers.openai_compatible import OpenAICompatibleChat

    return OpenAICompatibleChat(model, settings.base_url, settings)


def _dashscope(model: str, settings: JudgeSettings, served: Served | None) -> Chat:
    from writing_rl.judging.providers.dashscope_sdk import DashScopeChat

    return DashScopeChat(model, settings)


def _verl(model: str, settings: JudgeSettings, served: Served | None) -> Chat:
    from writing_rl.judging.providers.openai_compatible import OpenAICompatibleChat

    if served is None:
        raise SettingError(
            f"model {model} is served by verl, which only a training does: start it with judge=verl and "
            "reward.reward_model.model_path"
        )
    chat = OpenAICompatibleChat(
        served.model, f"http://{served.address}/v1", settings, own_server=True, name=model
    )
    return CheckedChat(chat, served.check) if served.check else chat


#: Provider -> what makes its `Chat`. The offline judge is no chat model: see `make_judges`.
PROVIDERS: dict[str, Callable[[str, JudgeSettings, Served | None], Chat]] = {
    "openai": _openai,
    "dashscope": _dashscope,
    "verl": _verl,
}


def _longest(model: str, table: Mapping[str, str]) -> str | None:
    """The entry with the longest beginning of a model's name, in whatever case, or None."""
    beginnings = [beginning for beginning in table if model.lower().startswith(beginning.lower())]
    return table[max(beginnings, key=len)] if beginnings else None
