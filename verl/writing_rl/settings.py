"""The block `writing_rl` of the configuration: types, defaults, bounds and documentation.

`python -m writing_rl.settings` prints `docs/settings.md`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Annotated, Any

from pydantic import ConfigDict, Field, StrictBool, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from writing_rl.curriculum.rules import Existing, Promotion, parse_validation_reference
from writing_rl.errors import SettingError
from writing_rl.judging.client.budget import Limits
from writing_rl.judging.settings import VARIABLE, JudgeSettings, model_names, plain, read_request
from writing_rl.judging.verdict import Rewards
from writing_rl.util.setting_errors import checked, sentences

#: Fields of the judge that the configuration does not show.
_INTERNAL = ("keyless", "own", "limits")


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class CurriculumSettings:
    """The block `writing_rl.curriculum`, but for when samples are promoted."""

    skip_finished: Annotated[
        StrictBool,
        Field(description="whether samples that have beaten their last reference are left out of batches"),
    ] = False
    existing_index: Annotated[
        Existing,
        Field(
            description="what becomes of an index file whose samples have moved on when a model starts from "
            "scratch: `ask`, `keep` or `reset`"
        ),
    ] = Existing.ASK
    validation_reference: Annotated[
        str | int,
        checked(parse_validation_reference),
        Field(description="what validation compares with: `first`, `middle`, `last` or a number from 0"),
    ] = "middle"


#: What each block is read as.
_PARTS: Mapping[str, tuple[type, ...]] = {
    "judge": (JudgeSettings, Limits),
    "reward": (Rewards,),
    "curriculum": (Promotion, CurriculumSettings),
}


@dataclass(frozen=True)
class Settings:
    """The whole block `writing_rl`.

    Attributes:
        index_file: The reference index file.
        log_dir: The experiment's log folder.
        judge: How to judge.
        rewards: What each outcome is worth.
        promotion: When samples move on to their next reference.
        curriculum: What else the curriculum does.
    """

    index_file: str
    log_dir: str
    judge: JudgeSettings
    rewards: Rewards = field(default_factory=Rewards)
    promotion: Promotion = field(default_factory=Promotion)
    curriculum: CurriculumSettings = field(default_factory=CurriculumSettings)

    @classmethod
    def from_config(cls, block: Mapping[str, Any]) -> Settings:
        """Reads and checks the block.

        Args:
            block: `config.writing_rl`, resolved or not.

        Raises:
            SettingError: Values cannot work; the message has a line for each wrong setting.
        """
        errors: list[str] = []
        parts: dict[type, Any] = {}
        for name, kinds in _PARTS.items():
            given = plain(block[name])
            for kind in kinds:
                parts[kind] = _read(kind, given, f"writing_rl.{name}", errors)
        if errors:
            raise SettingError("\n".join(errors))
        return cls(
            index_file=os.path.normpath(str(block["index_file"])),
            log_dir=os.path.normpath(str(block["log_dir"])),
            judge=replace(parts[JudgeSettings], limits=parts[Limits]),
            rewards=parts[Rewards],
            promotion=parts[Promotion],
            curriculum=parts[CurriculumSettings],
        )


def settings_of_environment() -> JudgeSettings:
    """What the environment says of judging, for use without a configuration.

    Raises:
        SettingError: A value cannot work; the message names the variable.
    """
    variables = {
        name: variable for name in _names(JudgeSettings) if (variable := _variable(JudgeSettings, name))
    }
    given: dict[str, Any] = {name: os.environ.get(variable) or None for name, variable in variables.items()}
    given["models"] = model_names(given["models"])
    given["request"] = read_request(given["request"], variables["request"])
    try:
        return JudgeSettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise SettingError("\n".join(sentences(error, variables.__getitem__))) from None


def defaults() -> dict[str, Any]:
    """The blocks of the configuration with their defaults, variables of the environment before them."""
    return {
        block: {
            _shown(name): f"${{oc.env:{variable},{_yaml(value)}}}"
            if (variable := _variable(kind, name))
            else value
            for kind in kinds
            for name, value in _defaults(kind).items()
        }
        for block, kinds in _PARTS.items()
    }


def documentation() -> str:
    """The page `docs/settings.md`."""
    lines = [_INTRODUCTION]
    for block, kinds in _PARTS.items():
        lines += [f"## writing_rl.{block}", "", "| setting | default | what it is |", "| --- | --- | --- |"]
        for kind in kinds:
            for name, value in _defaults(kind).items():
                variable = _variable(kind, name)
                says = f"{_field(kind, name).description}" + (f"; `{variable}`" if variable else "")
                lines.append(f"| `{_shown(name)}` | `{_yaml(value)}` | {says.replace('|', chr(92) + '|')} |")
        lines.append("")
    return "\n".join(lines)


_INTRODUCTION = """# Settings

<!-- Generated by `python -m writing_rl.settings > docs/settings.md`; a test checks that it is up to date. -->

Every setting of the block `writing_rl`. Set one on the command line of a training, in Hydra's syntax:
`bash scripts/train_writing_rl.sh writing_rl.judge.max_retries=3`; where a variable of the environment is
named, it works as well. All other settings are verl's. API keys are not settings: they are read from the
environment by the process that calls the judge, and enter no configuration, log or tracker.
"""


def _read(kind: type, given: Mapping[str, Any], block: str, errors: list[str]) -> Any:
    """A part of the settings, or None where `errors` has got to hold what is wrong with it."""

    def name_of(field: str) -> str:
        setting = f"{block}.{_shown(field)}"
        variable = _variable(kind, field)
        return f"{variable} ({setting})" if variable else setting

    values = {name: given[_shown(name)] for name in _names(kind) if _shown(name) in given}
    try:
        if kind is JudgeSettings:
            values["models"] = model_names(values["models"])
            usual = _defaults(kind)
            values["own"] = {name for name in ("temperature", "max_tokens") if values[name] != usual[name]}
        return kind(**values)
    except ValidationError as error:
        errors += sentences(error, name_of)
    except SettingError as error:
        errors.append(str(error))
    return None


def _names(kind: type) -> list[str]:
    """The fields that a configuration shows."""
    return [field.name for field in fields(kind) if field.name not in _INTERNAL]


def _shown(name: str) -> str:
    """What the configuration calls a field."""
    return "model" if name == "models" else name


def _field(kind: type, name: str) -> FieldInfo:
    found: FieldInfo = kind.__pydantic_fields__[name]  # type: ignore[attr-defined]
    return found


def _variable(kind: type, name: str) -> str | None:
    """The environment variable that sets a field."""
    extra = _field(kind, name).json_schema_extra
    return str(extra[VARIABLE]) if isinstance(extra, dict) and VARIABLE in extra else None


def _defaults(kind: type) -> dict[str, Any]:
    """The defaults of a part, as a configuration writes them; what must be set, or is empty, is null."""
    values = {name: _field(kind, name).get_default(call_default_factory=True) for name in _names(kind)}
    return {
        name: value.value if isinstance(value, Enum) else None if value is PydanticUndefined else value
        for name, value in values.items()
    }


def _yaml(value: Any) -> str:
    return (
        "null"
        if value is None or value == {}
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )


if __name__ == "__main__":
    print(documentation(), end="")
