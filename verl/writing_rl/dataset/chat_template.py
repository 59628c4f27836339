"""Chats as the policy reads them: rendered and counted as verl's rollout does (v0.9.1).

verl's `ContinuousTokenBuilder` calls `apply_chat_template` with `data.apply_chat_template_kwargs` and, where
it is set, `actor_rollout_ref.model.custom_chat_template`. A prompt that is longer than it was counted here
would be cut from the left in the middle of a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from writing_rl.errors import DataError, SettingError
from writing_rl.util.redact import printable

if TYPE_CHECKING:
    from omegaconf import DictConfig

#: What verl itself says when it applies a template.
_GIVEN_BY_VERL = (
    "add_generation_prompt",
    "conversation",
    "return_dict",
    "return_tensors",
    "tokenize",
    "tools",
)
#: What changes the tokens of a text that is rendered.
_TOKENIZING = ("max_length", "padding", "tokenizer_kwargs", "truncation")
#: Texts that are given to the tokenizer at once: it works on them in parallel.
TEXTS_AT_ONCE = 256

CUSTOM = "actor_rollout_ref.model.custom_chat_template"
ARGUMENTS = "data.apply_chat_template_kwargs"

Chat = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class ChatTemplate:
    """How chats become prompts.

    Attributes:
        tokenizer: The policy's, with its template.
        arguments: What else the template is told, such as `enable_thinking`.
        setting: What names another template, for messages.
    """

    tokenizer: Any
    arguments: Mapping[str, Any] = field(default_factory=dict)
    setting: str = CUSTOM

    @classmethod
    def make(
        cls,
        tokenizer: Any,
        arguments: Mapping[str, Any] | None = None,
        custom: str | None = None,
        *,
        model: str = "the model",
        setting: str = CUSTOM,
    ) -> ChatTemplate:
        """Checks what can be checked without a chat.

        Args:
            tokenizer: The policy's.
            arguments: What else the template is told.
            custom: A template in place of the tokenizer's.
            model: Whose tokenizer it is, for messages.
            setting: What names another template, for messages.

        Raises:
            SettingError: There is no template, or the arguments cannot be given.
        """
        arguments = dict(arguments or {})
        if taken := [name for name in _GIVEN_BY_VERL if name in arguments]:
            raise SettingError(f"{ARGUMENTS} has {taken[0]}, which verl sets itself: leave it out")
        if custom is not None:
            if "{" not in custom:
                raise SettingError(
                    f"{setting} is '{printable(custom, 80)}', which is no template: set it to the template's "
                    "text, such as the content of a file chat_template.jinja"
                )
            tokenizer.chat_template = custom
        if not tokenizer.chat_template and "chat_template" not in arguments:
            raise SettingError(
                f"the tokenizer of {model} has no chat template: use a model that was trained on chats, put "
                f"its chat_template.jinja beside the tokenizer, or set {setting}"
            )
        return cls(tokenizer, arguments, setting)

    def text(self, messages: Chat) -> str:
        """The text that the policy goes on from; fails as the template does."""
        return str(self._apply(messages, tokenize=False))

    def count(self, chats: Iterable[Chat], path: str | Path) -> Iterator[int]:
        """Counts the tokens of each chat.

        Args:
            chats: The chats of a data set, in the order of its rows.
            path: Its file, for messages.

        Raises:
            DataError: The template does not take a chat; the message names its row and a remedy.
        """
        chats = iter(chats)
        if not self.arguments.keys() & set(_TOKENIZING):
            yield from count_tokens(self.tokenizer, self._texts(chats, path))
            return
        for row, messages in enumerate(chats):
            self.render(messages, f"{path}, row {row}")
            yield len(self._apply(messages, tokenize=True))

    def _texts(self, chats: Iterable[Chat], path: str | Path) -> Iterator[str]:
        for row, messages in enumerate(chats):
            text = self.render(messages, f"{path}, row {row}")
            if row == 0 and self._is_deaf(messages, text):
                raise DataError(
                    f"{path}, row 0: the tokenizer's chat template leaves the user's message out: set "
                    f"{self.setting} to a template that has it, or use another model"
                )
            yield text

    def render(self, messages: Chat, place: str) -> str:
        """The text that the policy goes on from.

        Args:
            messages: The chat.
            place: Where it is from, for messages.

        Raises:
            DataError: The template does not take it.
        """
        try:
            return self.text(messages)
        except Exception as error:  # a template is a program, and refuses a chat in its own words
            reason = printable(" ".join(str(error).split()), 200)
            raise DataError(
                f"{place}: the tokenizer's chat template does not take the prompt ({reason}): "
                f"{self._remedy(messages)}"
            ) from error

    def _apply(self, messages: Chat, *, tokenize: bool) -> Any:
        chat = [dict(message) for message in messages]
        return self.tokenizer.apply_chat_template(
            chat,
            add_generation_prompt=True,
            tokenize=tokenize,
            tools=None,
            return_dict=False,
            **self.arguments,
        )

    def _remedy(self, messages: Chat) -> str:
        if any(message["role"] == "system" for message in messages):
            try:
                self.text([message for message in messages if message["role"] != "system"])
            except Exception:  # as above
                pass
            else:
                return (
                    "it takes it without the system message, so leave that out (--system '' where the data "
                    f"is made), or set {self.setting}"
                )
        return "change its messages, or use another model"

    def _is_deaf(self, messages: Chat, text: str) -> bool:
        """Whether a prompt is the same whatever the user says, as that of a wrong template is."""
        others = [
            {**message, "content": f"{message['content']} 1"} if message["role"] == "user" else message
            for message in messages
        ]
        return any(message["role"] == "user" for message in messages) and self.text(others) == text


def of_config(config: DictConfig, folder: Path | None = None) -> ChatTemplate:
    """The template of a run's policy.

    Args:
        config: The resolved configuration.
        folder: Where the policy is, if not where the configuration says.

    Raises:
        SettingError: The tokenizer cannot be loaded, or has no template.
    """
    model = config.actor_rollout_ref.model
    if config.data.get("custom_chat_template") is not None:
        raise SettingError(f"data.custom_chat_template is read by nobody: set {CUSTOM} in its place")
    path = str(model.tokenizer_path or folder or model.path)
    trusted = bool(model.trust_remote_code or config.data.trust_remote_code)
    tokenizer = load_tokenizer(path, "BASE_MODEL", trust_remote_code=trusted)
    arguments = {str(name): value for name, value in (config.data.apply_chat_template_kwargs or {}).items()}
    return ChatTemplate.make(tokenizer, arguments, model.custom_chat_template, model=f"BASE_MODEL {path}")


def load_tokenizer(path: str, setting: str, *, trust_remote_code: bool = False) -> Any:
    """Loads a tokenizer.

    Args:
        path: A checkpoint folder or a name on the hub.
        setting: Where the path comes from, for messages.
        trust_remote_code: Whether code of the checkpoint may be run.

    Raises:
        SettingError: There is none.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        raise SettingError(
            f"{setting} is {path}, whose tokenizer cannot be loaded: {str(error).splitlines()[0]}"
        ) from None


def count_tokens(tokenizer: Any, texts: Iterable[str]) -> Iterator[int]:
    """Counts the tokens of each text; special ones are not added."""
    remaining = iter(texts)
    while batch := list(islice(remaining, TEXTS_AT_ONCE)):
        yield from map(len, tokenizer(batch, add_special_tokens=False)["input_ids"])
