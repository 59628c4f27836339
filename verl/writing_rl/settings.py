"""The block `writing_rl` of the configuration as typed values, checked on the way in."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from writing_rl.curriculum.beginning import SETTING as BEGINNING
from writing_rl.curriculum.beginning import Existing
from writing_rl.curriculum.rules import GroupRule, Kind, Promotion, parse_validation_reference
from writing_rl.errors import SettingError
from writing_rl.judging.cache import CacheMode
from writing_rl.judging.limits import Limits
from writing_rl.judging.rules import Rules
from writing_rl.judging.verdict import Rewards, Strategy
from writing_rl.judging.vote import VoteRule

NO_LIMITS = Limits()

E = TypeVar("E", bound=Enum)


@dataclass(frozen=True)
class JudgeSettings:
    """How to judge; every field is documented in `config/writing_rl.yaml`."""

    models: tuple[str, ...]
    vote: VoteRule = VoteRule.MAJORITY
    providers: Mapping[str, str] = field(default_factory=dict)
    strategy: Strategy = Strategy.DISADVANTAGE
    base_url: str | None = None
    keyless: bool = False
    data_inspection: str | None = None
    parallel: int = 64
    request_timeout_s: float = 120.0
    deadline_s: float = 300.0
    max_retries: int = 7
    ask_again: int = 1
    temperature: float = 0.0
    max_tokens: int = 2048
    limits: Limits = NO_LIMITS
    prices: str | None = None
    cache: CacheMode = CacheMode.OFF
    cache_file: str = "running_file/judge_cache.sqlite"
    transcript_characters: int = 2000
    max_unscored_share: float = 0.5
    unscored_window: int = 64

    @property
    def rules(self) -> Rules:
        """How two texts are compared."""
        return Rules(self.strategy, self.ask_again, self.deadline_s, self.vote)


@dataclass(frozen=True)
class Settings:
    """The whole block `writing_rl`."""

    index_file: str
    log_dir: str
    judge: JudgeSettings
    rewards: Rewards
    promotion: Promotion
    validation_reference: str | int
    skip_finished: bool = False
    existing_index: Existing = Existing.ASK

    @classmethod
    def from_config(cls, block: Mapping[str, Any]) -> Settings:
        """Reads and checks the block.

        Args:
            block: `config.writing_rl`, resolved or not.

        Raises:
            SettingError: A value cannot work; the message names the setting.
        """
        judge, curriculum = block["judge"], block["curriculum"]
        return cls(
            index_file=str(block["index_file"]),
            log_dir=str(block["log_dir"]),
            judge=JudgeSettings(
                models=model_names(judge["model"]),
                vote=member(VoteRule, judge["vote"], "writing_rl.judge.vote"),
                providers=dict(judge["providers"] or {}),
                strategy=member(Strategy, judge["strategy"], "REWARD_STRATEGY (writing_rl.judge.strategy)"),
                base_url=judge["base_url"] or None,
                data_inspection=judge["data_inspection"] or None,
                parallel=_number(judge, "parallel", int, 1, "API_PARALLEL (writing_rl.judge.parallel)"),
                request_timeout_s=_number(judge, "request_timeout_s", float, 1),
                deadline_s=_number(judge, "deadline_s", float, 1),
                max_retries=_number(judge, "max_retries", int, 0),
                ask_again=_number(judge, "ask_again", int, 0),
                temperature=_number(judge, "temperature", float, 0),
                max_tokens=_number(judge, "max_tokens", int, 1),
                limits=Limits(
                    requests_per_minute=_limit(judge, "requests_per_minute", float),
                    tokens_per_minute=_limit(judge, "tokens_per_minute", float),
                    max_calls=_limit(judge, "max_calls", int),
                    max_cost_usd=_limit(judge, "max_cost_usd", float),
                ),
                prices=judge["prices"] or None,
                # YAML takes a bare `off` for the truth value.
                cache=member(CacheMode, judge["cache"] or CacheMode.OFF.value, "writing_rl.judge.cache"),
                cache_file=str(judge["cache_file"]),
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
            promotion=Promotion(
                kind=member(Kind, curriculum["kind"], "writing_rl.curriculum.kind"),
                group=member(GroupRule, curriculum["group_rule"], "writing_rl.curriculum.group_rule"),
                wins_to_promote=_number(
                    curriculum, "wins_to_promote", int, 1, "writing_rl.curriculum.wins_to_promote"
                ),
                losses_to_demote=None
                if curriculum["losses_to_demote"] is None
                else _number(
                    curriculum, "losses_to_demote", int, 1, "writing_rl.curriculum.losses_to_demote"
                ),
            ),
            validation_reference=parse_validation_reference(curriculum["validation_reference"]),
            existing_index=member(Existing, curriculum["existing_index"], BEGINNING),
            skip_finished=_truth(curriculum, "skip_finished", "writing_rl.curriculum.skip_finished"),
        )


def settings_of_environment() -> JudgeSettings:
    """What the environment says of judging, for use without a configuration.

    Raises:
        SettingError: A value cannot work; the message names the variable.
    """
    strategy = os.environ.get("REWARD_STRATEGY") or Strategy.DISADVANTAGE.value
    parallel = {"parallel": os.environ.get("API_PARALLEL") or JudgeSettings.parallel}
    return JudgeSettings(
        models=model_names(os.environ.get("JUDGE_MODEL")),
        base_url=os.environ.get("OPENAI_BASE_URL") or None,
        strategy=member(Strategy, strategy, "REWARD_STRATEGY"),
        parallel=_number(parallel, "parallel", int, 1, "API_PARALLEL"),
    )


def model_names(models: Any) -> tuple[str, ...]:
    """The judges that `JUDGE_MODEL` or `writing_rl.judge.model` names: one, a list, or several with commas.

    Raises:
        SettingError: It names none, or one twice.
    """
    listed = models.split(",") if isinstance(models, str) else models or ()
    names = tuple(name for model in listed if (name := str(model).strip()))
    if not names:
        raise SettingError(
            "no judge is set: set JUDGE_MODEL to a model of your endpoint (with OPENAI_API_KEY or "
            "OPENAI_BASE_URL), or to `offline` to try the system without a judge model"
        )
    if len(set(names)) < len(names):
        raise SettingError(f"JUDGE_MODEL is {','.join(names)}: it names one judge twice")
    return names


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


def _limit(judge: Mapping[str, Any], key: str, kind: type) -> Any:
    """A limit, which must be more than 0, or None where none is set."""
    if judge[key] is None:
        return None
    value = _number(judge, key, kind, 0)
    if not value:
        raise SettingError(f"writing_rl.judge.{key} is 0: set a number above it, or null for no limit")
    return value


def _truth(block: Mapping[str, Any], key: str, setting: str) -> bool:
    if not isinstance(block[key], bool):
        raise SettingError(f"{setting} is {block[key]!r}: it must be true or false")
    return block[key]


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
