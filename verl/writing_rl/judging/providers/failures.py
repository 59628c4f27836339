"""What a provider's HTTP status means, the same for all of them. Pure functions."""

from __future__ import annotations

import email.utils
import math
from collections.abc import Mapping
from datetime import datetime, timezone

from writing_rl.errors import JudgeError, Transient, Unscored, WritingRLError
from writing_rl.redact import hide_key, printable, redact

#: Provider's codes of a request that its content filter stopped.
FILTERED = ("content_filter", "datainspectionfailed", "data_inspection_failed")
#: Provider's codes of an account that can ask nothing more; they come as 429 or 400.
NO_CREDIT = ("insufficient_quota", "arrearage")
#: A request that a provider refuses costs nothing, nor does one that never reached it.
NOTHING_BILLED = (0, 0)


def failure_of(
    status: int, code: str, message: str, headers: Mapping[str, str], *, judge: str, key_variable: str
) -> WritingRLError:
    """The exception that an HTTP status stands for.

    Args:
        status: HTTP status, not 200.
        code: The provider's own code in the body, or empty.
        message: Its message, without secrets.
        headers: Of the answer.
        judge: Description of the judge.
        key_variable: Environment variable of the key.
    """
    if status in (401, 403):
        return JudgeError(f"model {judge} refuses the key ({status}): check {key_variable}")
    if status == 404:
        return JudgeError(f"model {judge} is not there ({status}): check its name and OPENAI_BASE_URL")
    if code.lower().startswith(NO_CREDIT):
        return JudgeError(f"model {judge} has no credit left ({code}): check the account of {key_variable}")
    if code.lower().startswith(FILTERED):
        return Unscored("content_filter", message, tokens=NOTHING_BILLED)
    if status in (408, 409, 425, 429) or status >= 500:
        return Transient(f"http_{status}", message, retry_after_s(headers), tokens=NOTHING_BILLED)
    return Unscored(f"http_{status}", message, tokens=NOTHING_BILLED)


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds after which a provider wants to be asked again (RFC 9110, section 10.2.3), or None.

    Args:
        headers: Of its answer; `retry-after-ms` (OpenAI) counts before `retry-after`.
        now: The time; by default that of the system.
    """
    values = {name.lower(): value for name, value in headers.items()}
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(values[name]) * scale
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    try:
        then = email.utils.parsedate_to_datetime(values["retry-after"])
    except (KeyError, ValueError):
        return None
    then = then if then.tzinfo else then.replace(tzinfo=timezone.utc)
    return max(0.0, (then - (now or datetime.now(timezone.utc))).total_seconds())


def presentable(message: str, key: str) -> str:
    """A provider's message as a short line without the key, which some endpoints repeat in it."""
    return printable(redact(hide_key(message[:4000], key)), 200)
