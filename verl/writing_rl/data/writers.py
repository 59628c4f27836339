"""The models that write: anything that a judge can be, or a checkpoint that vLLM serves for the purpose."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from writing_rl.dataset.chat_template import ChatTemplate, load_tokenizer
from writing_rl.errors import SettingError
from writing_rl.judging.address import check_address
from writing_rl.judging.client.model import Model
from writing_rl.judging.client.request_queue import Channel
from writing_rl.judging.factory import make_models
from writing_rl.judging.providers import Served, provider_of
from writing_rl.judging.settings import JudgeSettings
from writing_rl.models.placement import Placement
from writing_rl.models.serve import placements, serve
from writing_rl.util.redact import printable, redact

#: What a model's name begins with that vLLM is to serve from the hub.
VLLM = "vllm:"


@dataclass(frozen=True)
class Writer:
    """A model that writes.

    Attributes:
        name: What it is called in the data: as it was given, without its address.
        base_url: Its endpoint, where one of its own was given.
        checkpoint: The folder or hub name that vLLM serves; None where somebody else serves the model.
    """

    name: str
    base_url: str | None = None
    checkpoint: str | None = None


def parse_writers(names: str) -> list[Writer]:
    """Reads a list of models: `gpt-4.1,my-model@http://host:8000/v1,path/to/checkpoint,vllm:Qwen/Qwen3-8B`.

    Raises:
        SettingError: It names none, one twice, or what is no model.
    """
    writers = [_parse(name) for part in names.split(",") if (name := part.strip())]
    if not writers:
        raise SettingError("no model is named: give one or several, with commas between them")
    seen: set[str] = set()
    for writer in writers:
        if writer.name in seen:
            raise SettingError(f"the model {writer.name} is named twice")
        seen.add(writer.name)
    return writers


def _parse(name: str) -> Writer:
    if name.startswith(VLLM):
        if not (checkpoint := name.removeprefix(VLLM).strip()):
            raise SettingError(f"{name} names no model: give its name at the hub after the colon")
        return Writer(checkpoint, checkpoint=checkpoint)
    model, at, address = name.partition("@")
    if at and address.lower().startswith(("http://", "https://")):
        if not model:
            raise SettingError(f"{printable(redact(name))}: name the model before the @ of its address")
        check_address(address, f"the address of {model}")
        return Writer(model, base_url=address)
    if (folder := Path(name).expanduser()).is_dir():
        if not (folder / "config.json").is_file():
            raise SettingError(f"{name} is no checkpoint in Hugging Face's format: it has no config.json")
        return Writer(name, checkpoint=str(folder))
    if name.startswith((".", "/", "~")):
        raise SettingError(f"{name} does not exist: name the folder of a checkpoint, or a model")
    if provider_of(name, JudgeSettings(models=())) == "offline":
        raise SettingError("the offline judge measures texts and cannot write any: name a model")
    return Writer(name)


def placed_together(writers: Sequence[Writer], vllm_arguments: Sequence[str] = ()) -> list[Placement | None]:
    """Where the checkpoints among some writers are served when all of them are there at the same time.

    Args:
        writers: Which.
        vllm_arguments: More of `vllm serve`'s options, for checkpoints.

    Returns:
        One for each writer; None for one at an endpoint, and for all where there is no GPU to choose.

    Raises:
        NoRoom: The GPUs have no room for all of them at once.
        SetupError: vLLM is not installed, or the GPUs cannot be asked.
    """
    checkpoints = [writer.checkpoint for writer in writers if writer.checkpoint is not None]
    places = iter(placements(checkpoints, vllm_arguments) if checkpoints else [])
    return [next(places) if writer.checkpoint is not None else None for writer in writers]


def chat_template_of(writer: Writer, vllm_arguments: Sequence[str] = ()) -> ChatTemplate | None:
    """The chat template of a checkpoint that vLLM serves.

    Args:
        writer: Any writer.
        vllm_arguments: More of `vllm serve`'s options.

    Returns:
        None where it is not known here: of an endpoint, of a template or tokenizer that vLLM is told of, and
        of a tokenizer that only vLLM can load.

    Raises:
        SettingError: The tokenizer has none.
    """
    told = ("--chat-template", "--tokenizer", "--config")
    if writer.checkpoint is None or any(argument.startswith(told) for argument in vllm_arguments):
        return None
    try:
        tokenizer = load_tokenizer(writer.checkpoint, "--models")
    except SettingError:
        return None
    setting = "--vllm-args='--chat-template FILE'"
    return ChatTemplate.make(tokenizer, model=writer.name, setting=setting)


def _host(address: str | None) -> str | None:
    return urlsplit(address or "https://api.openai.com").hostname


@contextlib.contextmanager
def opened(
    writer: Writer,
    settings: JudgeSettings,
    channel: Channel,
    vllm_arguments: Sequence[str] = (),
    placement: Placement | None = None,
) -> Iterator[Model]:
    """A writer, ready to be asked; a checkpoint is served while the context lasts.

    Args:
        writer: Which.
        settings: How models are asked.
        channel: This process's way to them.
        vllm_arguments: More of `vllm serve`'s options, for a checkpoint.
        placement: Its GPUs, where it is not the only checkpoint: see `placed_together`.

    Raises:
        SettingError: It lacks what it needs, such as a key or, with a budget, a price.
        SetupError: vLLM cannot serve it.
    """
    if writer.checkpoint is None:
        settings = replace(settings, models=(writer.name,))
        if writer.base_url:  # whatever its name begins with
            # The key is for the endpoint of the environment, and is told to no other host.
            keyless = _host(writer.base_url) != _host(settings.base_url)
            settings = replace(
                settings, base_url=writer.base_url, providers={writer.name: "openai"}, keyless=keyless
            )
        model = make_models(settings, channel)[writer.name]
        assert model is not None  # `offline` is no writer
        yield model
        return
    with serve(writer.checkpoint, writer.name, vllm_arguments, placement) as server:
        settings = replace(settings, models=(writer.name,), providers={writer.name: "verl"})
        served = Served(server.address, writer.name, server.check)
        model = make_models(settings, channel, served)[writer.name]
        assert model is not None
        yield model
