"""The options of scripts that ask models."""

from __future__ import annotations

import argparse
import math
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from writing_rl.judging.settings import JudgeSettings


#: Seconds that a script waits for an endpoint that cannot be reached: somebody may sit in front of it, and
#: started again it goes on where it was.
OUTAGE_S = 300.0


def add_judge_options(parser: argparse._ActionsContainer) -> None:
    """Adds who judges, and the options of `add_asking_options`."""
    models = "model, several (a,b,c: the majority decides), or `offline` (default: JUDGE_MODEL)"
    parser.add_argument("--judge", default=os.environ.get("JUDGE_MODEL"), help=models)
    add_asking_options(parser)
    again = "judge again what an earlier start left unscored"
    parser.add_argument("--retry-unscored", action="store_true", help=again)


def add_asking_options(parser: argparse._ActionsContainer) -> None:
    """Adds where models are asked, how fast, and what that may cost."""
    add = parser.add_argument
    endpoint = "OpenAI-compatible endpoint (default: OPENAI_BASE_URL, or the provider of the model)"
    add("--base-url", default=os.environ.get("OPENAI_BASE_URL"), help=endpoint)
    parallel = os.environ.get("API_PARALLEL") or "64"
    in_flight = f"requests in flight (default: API_PARALLEL, here {parallel})"
    add("--parallel", type=positive, default=parallel, help=in_flight)  # a text, which is checked as well
    parameters = "parameters of each request in JSON; null leaves one out (default: JUDGE_REQUEST)"
    add("--request", default=os.environ.get("JUDGE_REQUEST"), metavar="JSON", help=parameters)
    by_model = 'the same by the beginnings of models\' names: {"gpt-5": {...}, ...}'
    add("--request-by-model", metavar="JSON", help=by_model)
    add("--max-calls", type=positive, metavar="N", help="most requests of this start")
    add("--max-cost-usd", type=amount, metavar="USD", help="what this start may cost")
    add("--prices", metavar="FILE", help="your own prices, which come on top of the known ones")


def judge_settings(arguments: argparse.Namespace) -> JudgeSettings:
    """The settings that the options of `add_judge_options` give.

    Raises:
        SettingError: No judge is named, or one twice.
    """
    from writing_rl.judging.settings import model_names

    return asking_settings(arguments, model_names(arguments.judge))


def asking_settings(arguments: argparse.Namespace, models: tuple[str, ...] = ()) -> JudgeSettings:
    """The settings that the options of `add_asking_options` give, for some models."""
    from writing_rl.judging.client.budget import Limits
    from writing_rl.judging.settings import JudgeSettings, read_request, read_requests

    return JudgeSettings(
        models=models,
        base_url=arguments.base_url or None,
        parallel=arguments.parallel,
        limits=Limits(max_calls=arguments.max_calls, max_cost_usd=arguments.max_cost_usd),
        prices=arguments.prices,
        request=read_request(arguments.request, "--request"),
        request_by_model=read_requests(arguments.request_by_model, "--request-by-model"),
        outage_s=OUTAGE_S,
    )


def own_parameters(**options: tuple[float | None, float | None]) -> frozenset[str]:
    """Which parameters the user set, for `JudgeSettings.own`.

    Args:
        options: By the parameter, what its option holds and its default.
    """
    return frozenset(name for name, (value, default) in options.items() if value != default)


def positive(text: str) -> int:
    """A whole number from 1."""
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return value


def amount(text: str) -> float:
    """A number above 0."""
    if not 0 < (value := float(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def not_negative(text: str) -> float:
    """A number from 0."""
    if not 0 <= (value := float(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0")
    return value


def share(text: str) -> float:
    """A number from 0 to 1."""
    if not 0 <= (value := float(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return value
