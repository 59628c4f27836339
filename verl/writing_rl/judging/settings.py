"""How models are asked: the settings of judges, and of the models that write.

Defaults, bounds and descriptions of `writing_rl.judge` stand here and nowhere else: the configuration takes
its defaults from here (`settings.defaults`), and `docs/settings.md` is generated from here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import Enum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, FiniteFloat
from pydantic.dataclasses import dataclass

from writing_rl.errors import SettingError
from writing_rl.judging.address import check_address
from writing_rl.judging.client.budget import Limits
from writing_rl.judging.rules import Rules
from writing_rl.judging.verdict import Strategy
from writing_rl.judging.vote import VoteRule
from writing_rl.util.redact import is_secret, printable
from writing_rl.util.setting_errors import checked

NO_LIMITS = Limits()

#: The environment variable that sets a field, in the field's description for the documentation.
VARIABLE = "variable"
_EMPTY_IS_NONE = BeforeValidator(lambda value: value or None)
_NONE_IS_EMPTY = BeforeValidator(lambda value: value or {})


class CacheMode(str, Enum):
    """What is done with the cache."""

    OFF = "off"
    READ = "read"
    READ_WRITE = "read-write"


class Outage(str, Enum):
    """What happens where a judge cannot be reached for longer than a comparison may take."""

    WAIT = "wait"
    END = "end"


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


#: Fields of a request that are not parameters -> what to do instead.
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
        SettingError: It is not a mapping, or holds what is not a parameter.
    """
    given = _mapping(value, setting, '{"reasoning_effort": "low"}')
    request = {str(name): plain(part) for name, part in given.items()}
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


def plain(value: Any) -> Any:
    """A value of a configuration in plain containers."""
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(part) for part in value]
    return value


def _setting(description: str, *, variable: str | None = None, **bounds: Any) -> Any:
    return Field(
        description=description, json_schema_extra={VARIABLE: variable} if variable else None, **bounds
    )


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class JudgeSettings:
    """How to judge: the block `writing_rl.judge`, whose `model` is `models` here.

    Raises:
        ValidationError: A value cannot work; `settings.Settings` says which in a sentence.
        SettingError: The address cannot work, or holds a secret.
    """

    models: Annotated[
        tuple[str, ...],
        _setting("a model, several (`a,b,c` or a list), or `offline`", variable="JUDGE_MODEL"),
    ]
    vote: Annotated[VoteRule, _setting("what several judges decide: `majority` or `mean`")] = (
        VoteRule.MAJORITY
    )
    providers: Annotated[
        Mapping[str, str],
        _NONE_IS_EMPTY,
        _setting(
            "by the beginning of a model's name: `openai`, `dashscope`, `verl` or `offline`; comes before "
            "the table in `judging/providers`: `++writing_rl.judge.providers={qwen-plus: openai}`"
        ),
    ] = field(default_factory=dict)
    base_url: Annotated[
        str | None,
        _EMPTY_IS_NONE,
        _setting("OpenAI-compatible endpoint; null: the provider's own", variable="OPENAI_BASE_URL"),
    ] = None
    keyless: Annotated[bool, _setting("")] = False
    data_inspection: Annotated[
        str | None, _EMPTY_IS_NONE, _setting("DashScope's header X-DashScope-DataInspection")
    ] = None
    strategy: Annotated[
        Strategy,
        _setting(
            "where the policy's text stands: `position-disadvantage` (second), `position-advantage` (first) "
            "or `position-both` (both orders, which must agree)",
            variable="REWARD_STRATEGY",
        ),
    ] = Strategy.DISADVANTAGE
    ask_again: Annotated[int, _setting("how often an answer without a verdict is asked for one", ge=0)] = 1
    temperature: Annotated[FiniteFloat, _setting("the judge's temperature", ge=0)] = 0.0
    max_tokens: Annotated[int, _setting("most tokens of an answer, thinking included", ge=1)] = 2048
    request: Annotated[
        Mapping[str, Any],
        checked(lambda value: read_request(value, "writing_rl.judge.request")),
        _setting(
            "more parameters of every request, which come before all others; null leaves one out: "
            "`'writing_rl.judge.request={reasoning_effort: low, top_p: 0.9}'`, or JSON",
            variable="JUDGE_REQUEST",
        ),
    ] = field(default_factory=dict)
    request_by_model: Annotated[
        Mapping[str, Mapping[str, Any]],
        checked(lambda value: read_requests(value, "writing_rl.judge.request_by_model")),
        _setting("the same by the beginnings of models' names: `{gpt-5: {...}, ...}`"),
    ] = field(default_factory=dict)
    learnt: Annotated[
        Mapping[str, Mapping[str, Any]],
        checked(lambda value: read_requests(value, "writing_rl.judge.learnt")),
        _setting("what the start learnt of refused parameters; it sets this itself"),
    ] = field(default_factory=dict)
    own: Annotated[frozenset[str], _setting("")] = (
        frozenset()
    )  # of `temperature` and `max_tokens`, set by the user
    parallel: Annotated[
        int, _setting("requests in flight over the whole run", variable="API_PARALLEL", ge=1)
    ] = 64
    limits: Annotated[Limits, _setting("")] = NO_LIMITS
    prices: Annotated[
        str | None,
        _EMPTY_IS_NONE,
        _setting("a file of your own prices, which come before those of genai-prices: docs/tuning.md"),
    ] = None
    request_timeout_s: Annotated[
        FiniteFloat,
        _setting(
            "a request is given up after so long, or sooner once it is known how long answers take", ge=1
        ),
    ] = 120.0
    deadline_s: Annotated[
        FiniteFloat,
        _setting("for a comparison in one order, with retries, without waiting for its turn", ge=1),
    ] = 300.0
    max_retries: Annotated[
        int, _setting("how often time-outs, 429, 5xx and cut connections are retried", ge=0)
    ] = 7
    outage: Annotated[
        Outage,
        _setting(
            "a judge that cannot be reached is waited for: for `outage_s` (`wait`) or `deadline_s` (`end`)"
        ),
    ] = Outage.WAIT
    outage_s: Annotated[
        FiniteFloat, _setting("after so long the run ends with its last complete step saved", ge=0)
    ] = 1800.0
    cache: Annotated[
        CacheMode,
        BeforeValidator(lambda value: value or "off"),  # YAML takes a bare `off` for the truth value
        _setting("answers that have been paid for: `off`, `read` or `read-write`"),
    ] = CacheMode.OFF
    cache_file: Annotated[str, AfterValidator(os.path.normpath), _setting("where they are kept")] = (
        "running_file/judge_cache.sqlite"
    )
    max_unscored_share: Annotated[
        FiniteFloat,
        _setting(
            "the run ends when more than this share of `unscored_window` comparisons got no verdict", ge=0
        ),
    ] = 0.5
    unscored_window: Annotated[
        int, _setting("comparisons in a row that `max_unscored_share` looks at", ge=1)
    ] = 64
    transcript_characters: Annotated[
        int, _setting("characters of each text that are kept in `logs/<experiment>/judge/`", ge=0)
    ] = 2000

    def __post_init__(self) -> None:
        """Refuses an address that cannot work or holds a secret, wherever it was set."""
        if self.base_url is not None:
            of_environment = os.environ.get("OPENAI_BASE_URL") == self.base_url
            where = "base_url (writing_rl.judge.base_url, --base-url)"
            check_address(self.base_url, "OPENAI_BASE_URL" if of_environment else where)

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

    @property
    def rules(self) -> Rules:
        """How two texts are compared."""
        return Rules(self.strategy, self.ask_again, self.deadline_s, self.vote)
