"""The block `writing_rl` of the configuration as typed values, checked on the way in."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from writing_rl.curriculum.beginning import SETTING as BEGINNING
from writing_rl.curriculum.beginning import Existing
from writing_rl.curriculum.rules import GroupRule, Kind, Promotion, parse_validation_reference
from writing_rl.errors import SettingError
from writing_rl.judging.address import check_address
from writing_rl.judging.cache import CacheMode
from writing_rl.judging.limits import Limits
from writing_rl.judging.rules import Rules
from writing_rl.judging.verdict import Rewards, Strategy
from writing_rl.judging.vote import VoteRule
from writing_rl.redact import is_secret, printable

NO_LIMITS = Limits()

E = TypeVar("E", bound=Enum)


class Outage(str, Enum):
    """What happens where a judge cannot be reached for longer than a comparison may take."""

    WAIT = "wait"
    END = "end"


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
    outage: Outage = Outage.WAIT
    outage_s: float = 1800.0
    ask_again: int = 1
    temperature: float = 0.0
    max_tokens: int = 2048
    request: Mapping[str, Any] = field(default_factory=dict)
    request_by_model: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    learnt: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    own: frozenset[str] = frozenset()  # which of `temperature` and `max_tokens` the user set
    limits: Limits = NO_LIMITS
    prices: str | None = None
    cache: CacheMode = CacheMode.OFF
    cache_file: str = "running_file/judge_cache.sqlite"
    transcript_characters: int = 2000
    max_unscored_share: float = 0.5
    unscored_window: int = 64

    def request_of(self, model: str) -> dict[str, Any]:
        """The user's parameters of the requests to a model; None stands for one that is left out."""
        merged = dict(self.request)
        for beginning in sorted(self.request_by_model, key=len):
            if model.lower().startswith(beginning.lower()):
                merged |= self.request_by_model[beginning]
        return merged

    @property
    def requests_set(self) -> dict[str, Any]:
        """The user's parameters of requests for a note of settings: nothing where there are none."""
        both = {"request": self.request, "request_by_model": self.request_by_model}
        return {name: dict(value) for name, value in both.items() if value}

    @property
    def longest_outage_s(self) -> float:
        """Seconds that a judge may be unreachable before that is final."""
        return self.outage_s if self.outage is Outage.WAIT else min(self.outage_s, self.deadline_s)

    def __post_init__(self) -> None:
        """Refuses an address that cannot work or holds a secret, wherever it was set."""
        if self.base_url is not None:
            of_environment = os.environ.get("OPENAI_BASE_URL") == self.base_url
            setting = (
                "OPENAI_BASE_URL" if of_environment else "base_url (writing_rl.judge.base_url, --base_url)"
            )
            check_address(self.base_url, setting)

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
                outage=member(Outage, judge["outage"], "writing_rl.judge.outage"),
                outage_s=_number(judge, "outage_s", float, 0),
                ask_again=_number(judge, "ask_again", int, 0),
                temperature=_number(judge, "temperature", float, 0),
                max_tokens=_number(judge, "max_tokens", int, 1),
                request=read_request(judge.get("request"), "writing_rl.judge.request"),
                request_by_model=read_requests(
                    judge.get("request_by_model"), "writing_rl.judge.request_by_model"
                ),
                learnt=read_requests(judge.get("learnt"), "writing_rl.judge.learnt"),
                own=frozenset(
                    name
                    for name in ("temperature", "max_tokens")
                    if judge[name] != getattr(JudgeSettings, name)
                ),
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
        request=read_request(os.environ.get("JUDGE_REQUEST"), "JUDGE_REQUEST"),
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


#: Fields of a request that are no parameters -> what to do instead.
_NOT_PARAMETERS = {
    "model": "JUDGE_MODEL names the model",
    "messages": "the prompts are in verl/utils/reward_score/judge_prompts.py",
    "input": "the prompts are in verl/utils/reward_score/judge_prompts.py",
    "prompt": "the prompts are in verl/utils/reward_score/judge_prompts.py",
    "stream": "answers are read whole",
    "incremental_output": "answers are read whole",
    "result_format": "answers are read as messages",
    "extra_body": "write its fields beside the others",
    "parameters": "write its fields beside the others",
    "headers": "only fields of the body can be set",
    "extra_headers": "only fields of the body can be set",
    "request_timeout": "set writing_rl.judge.request_timeout_s",
    "timeout": "set writing_rl.judge.request_timeout_s",
    "session": "only fields of the body can be set",
    "base_address": "set DASHSCOPE_HTTP_BASE_URL",
}


def read_request(value: Any, setting: str) -> dict[str, Any]:
    """The parameters of a request that a user sets, as a mapping or as JSON.

    Args:
        value: What is set; None for nothing.
        setting: What messages call it.

    Raises:
        SettingError: It is no mapping, or holds what is no parameter.
    """
    given = _mapping(value, setting, '{"reasoning_effort": "low"}')
    request = {str(name): _plain(part) for name, part in given.items()}
    for name, part in request.items():
        if name in _NOT_PARAMETERS:
            raise SettingError(f"{setting} sets {printable(name)}, which it cannot: {_NOT_PARAMETERS[name]}")
        if is_secret(name):
            raise SettingError(f"{setting} sets {printable(name)}: keys come from the environment alone")
        try:
            json.dumps(part, allow_nan=False).encode()
        except (ValueError, TypeError, RecursionError):
            raise SettingError(f"{setting}.{printable(name)} is {part!r}, which JSON cannot hold") from None
    return request


def read_requests(value: Any, setting: str) -> dict[str, dict[str, Any]]:
    """Parameters of requests by the beginnings of models' names; arguments and errors as `read_request`."""
    requests = _mapping(value, setting, '{"gpt-5": {"reasoning_effort": "low"}}')
    return {str(model): read_request(part, f"{setting}.{model}") for model, part in requests.items()}


def _mapping(value: Any, setting: str, example: str) -> Mapping[Any, Any]:
    """A mapping, also as JSON; empty for None."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else {}
        except (ValueError, RecursionError):
            raise SettingError(f"{setting} is not JSON: write it as {example}") from None
    if not isinstance({} if value is None else value, Mapping):
        raise SettingError(f"{setting} is {value!r}: it must be a mapping such as {example}")
    return value or {}


def _plain(value: Any) -> Any:
    """A value of a configuration in plain containers."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(part) for part in value]
    return value


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
