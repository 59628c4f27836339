"""What is wrong with settings, as sentences that name each setting; pydantic finds it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pydantic import BeforeValidator, ValidationError
from pydantic_core import PydanticCustomError

from writing_rl.errors import SettingError
from writing_rl.util.redact import printable

_KINDS = {
    "int": "a whole number",
    "float": "a finite number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "a text",
    "dict": "a mapping",
    "tuple": "a list",
}


def checked(read: Callable[[Any], Any]) -> BeforeValidator:
    """A validator of pydantic from a function that raises `SettingError`, whose words stay as they are."""

    def validate(value: Any) -> Any:
        try:
            return read(value)
        except SettingError as error:
            raise PydanticCustomError("said", "{sentence}", {"sentence": str(error)}) from None

    return BeforeValidator(validate)


def sentences(error: ValidationError, name_of: Callable[[str], str]) -> list[str]:
    """One sentence for each wrong setting.

    Args:
        error: What pydantic found.
        name_of: What messages call the setting of a field.
    """
    return [_sentence(dict(found), name_of) for found in error.errors(include_url=False)]


def _sentence(found: dict[str, Any], name_of: Callable[[str], str]) -> str:
    limits = found.get("ctx") or {}
    if found["type"] == "said":
        return str(limits["sentence"])
    name = name_of(str(found["loc"][-1]))
    beginning = f"{name} is {printable(repr(found['input']), 80)}: "
    if found["type"] == "unexpected_keyword_argument":
        return f"{name} is not a setting: see docs/settings.md"
    if found["type"] == "enum":
        return beginning + "choose one of " + ", ".join(re.findall(r"'([^']*)'", limits["expected"]))
    if found["type"] == "greater_than_equal":
        return beginning + f"it must be at least {limits['ge']:g}"
    if found["type"] == "greater_than":
        return beginning + f"set a number above {limits['gt']:g}, or null for no limit"
    kind = _KINDS.get(found["type"].partition("_")[0])
    return beginning + (f"it must be {kind}" if kind else found["msg"])
