"""The block `writing_rl` of the configuration as typed values, checked on the way in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from writing_rl.curriculum.rules import GroupRule, parse_validation_reference
from writing_rl.errors import SettingError
from writing_rl.judging.verdict import Rewards, Strategy

E = TypeVar("E", bound=Enum)


@dataclass(frozen=True)
class JudgeSettings:
    """How to judge; every field is documented in `config/writing_rl.yaml`."""

    model: str
    strategy: Strategy = Strategy.DISADVANTAGE
    base_url: str | None = None
    parallel: int = 64
    deadline_s: float = 300.0
    max_retries: int = 6
    ask_again: int = 1
    temperature: float = 0.0
    max_tokens: int = 2048
    transcript_characters: int = 2000
    max_unscored_share: float = 0.5
    unscored_window: int = 64


@dataclass(frozen=True)
class Settings:
    """The whole block `writing_rl`."""

    index_file: str
    log_dir: str
    judge: JudgeSettings
    rewards: Rewards
    group_rule: GroupRule
    validation_reference: str | int

    @classmethod
    def from_config(cls, block: Mapping[str, Any]) -> Settings:
        """Reads and checks the block.

        Args:
            block: `config.writing_rl`, resolved or not.

        Raises:
            SettingError: A value cannot work; the message names the setting.
        """
        judge, curriculum = block["judge"], block["curriculum"]
        if not judge["model"]:
            raise SettingError(
                "no judge is set: set JUDGE_MODEL to a model of your endpoint (with OPENAI_API_KEY or "
                "OPENAI_BASE_URL), or to `offline` to try the system without a judge model"
            )
        return cls(
            index_file=str(block["index_file"]),
            log_dir=str(block["log_dir"]),
            judge=JudgeSettings(
                model=str(judge["model"]),
                strategy=member(Strategy, judge["strategy"], "REWARD_STRATEGY (writing_rl.judge.strategy)"),
                base_url=judge["base_url"] or None,
                parallel=_number(judge, "parallel", int, 1, "API_PARALLEL (writing_rl.judge.parallel)"),
                deadline_s=_number(judge, "deadline_s", float, 1),
                max_retries=_number(judge, "max_retries", int, 0),
                ask_again=_number(judge, "ask_again", int, 0),
                temperature=_number(judge, "temperature", float, 0),
                max_tokens=_number(judge, "max_tokens", int, 1),
                transcript_characters=_number(judge, "transcript_characters", int, 0),
                max_unscored_share=_number(judge, "max_unscored_share", float, 0),
                unscored_window=_number(judge, "unscored_window", int, 1),
            ),
            rewards=Rewards(
                **{
                    name: _number(block["reward"], name, float, -math.inf, f"writing_rl.reward.{name}")
                    for name in ("win", "tie", "loss")
                }
            ),
            group_rule=member(GroupRule, curriculum["group_rule"], "writing_rl.curriculum.group_rule"),
            validation_reference=parse_validation_reference(curriculum["validation_reference"]),
        )


def member(kind: type[E], value: Any, setting: str) -> E:
    """The member of an enumeration that a setting names.

    Raises:
        SettingError: It names none; the message lists them.
    """
    try:
        return kind(str(value))
    except ValueError:
        choices = ", ".join(str(member.value) for member in kind)
        raise SettingError(f"{setting} is {value!r}: choose one of {choices}") from None


def _number(block: Mapping[str, Any], key: str, kind: type, least: float, setting: str = "") -> Any:
    setting = setting or f"writing_rl.judge.{key}"
    try:
        value = kind(block[key])
        exact = value == float(block[key])
    except (OverflowError, TypeError, ValueError):
        exact = False
    if not exact:
        number = "a whole number" if kind is int else "a finite number"
        raise SettingError(f"{setting} is {block[key]!r}: it must be {number}")
    if not math.isfinite(value):
        raise SettingError(f"{setting} is {value}: it must be a finite number")
    if value < least:
        raise SettingError(f"{setting} is {value}: it must be at least {least:g}")
    return value
