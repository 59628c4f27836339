"""Sorts what came back from a judge's endpoint by one table. Pure functions.

Status 200 promises no whole answer, and a status alone says little: a 403 may be meant for one text or for
the key, a 429 for the next minute or for the account. So a row of `TABLE` looks at the status, at what the
provider says, at the form of the body and, of a completion, at its ending and at what its message holds.
"""

from __future__ import annotations

import email.utils
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum

from writing_rl.errors import JudgeError, MayBeFinal, Transient, Unreached, Unscored, WritingRLError
from writing_rl.judging.providers.billing import Tokens
from writing_rl.util.redact import hide_key, printable, redact

#: A request that is refused takes no tokens.
NOTHING = Tokens()
#: Characters of a provider's sentence that are shown, and those that are looked at.
SHOWN, READ = 300, 4000
#: Longest pause that a provider may ask for, in seconds; what asks for more is nonsense.
LONGEST_RETRY_AFTER_S = 24 * 3600.0


class Fate(Enum):
    """What an answer, or what stands in its place, is good for."""

    WHOLE = "a whole answer"
    CUT = "an answer that was cut off"
    TEXT = "refused for this text, and for it alone"
    RETRY = "may pass if it is tried again"
    AWAY = "never reached a judge, and may pass"
    KEY = "may pass; final where it repeats while nothing is answered"
    STRANGE = "may pass; final where it repeats and this judge has answered nothing yet"
    DOUBTFUL = "final where it repeats and this judge has answered nothing yet; else refused for this text"
    JUDGE = "final for this judge; where it has answered before, only if it repeats while nothing is answered"


class Body(Enum):
    """The form of a body."""

    JSON = "json"
    PAGE = "page"  # HTML
    EMPTY = "empty"
    OTHER = "other"


class Shape(Enum):
    """What the message of a completion holds."""

    NONE = "no completion"
    TEXT = "text"
    NOTHING = "nothing"
    THINKING = "thinking and nothing else"
    REFUSAL = "a refusal"
    UNREADABLE = "what is no text"


@dataclass(frozen=True)
class Reply:
    """What came back.

    Attributes:
        status: HTTP status, or the one that an error in a body of status 200 names.
        code: The provider's own codes and types, with spaces between them.
        message: Its sentence.
        body: The form of the body.
        headers: By their names.
        moderated: Whether the error carries a moderation's findings on a text.
        parameter: The field of the request that the error names.
        ending: Why the model ended, by the provider's word.
        shape: What its message holds.
        text: The message's text.
        billed: The tokens that it took; a request that is refused costs nothing.
    """

    status: int = 200
    code: str = ""
    message: str = ""
    body: Body = Body.JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    moderated: bool = False
    parameter: str = ""
    ending: str = ""
    shape: Shape = Shape.NONE
    text: str = ""
    billed: Tokens = NOTHING

    @property
    def said(self) -> str:
        """Codes and sentence, as `Row.said` is looked for in them."""
        return f"{self.code} {self.message[:READ]}".lower()


@dataclass(frozen=True)
class Row:
    """A row of the table: conditions, which must all hold, and what follows.

    Attributes:
        name: What it is about.
        fate: What follows.
        status: One of these statuses.
        said: A pattern in the provider's codes or sentence.
        body: One of these forms of the body.
        moderated: Whether a moderation's findings are there; None for either.
        ending: A pattern at the beginning of the ending's word.
        shape: One of these shapes of the message.
        reason: Why there is no verdict; empty for `http_<status>`.
        says: What a person is told. {judge}, {status}, {said} and {key} (the variable) are filled in.
    """

    name: str
    fate: Fate
    status: Collection[int] = ()
    said: str = ""
    body: Collection[Body] = ()
    moderated: bool | None = None
    ending: str = ""
    shape: Collection[Shape] = ()
    reason: str = ""
    says: str = "{said}"

    def fits(self, reply: Reply) -> bool:
        """Whether all its conditions hold."""
        return (
            (not self.status or reply.status in self.status)
            and (not self.body or reply.body in self.body)
            and (self.moderated is None or reply.moderated is self.moderated)
            and (not self.shape or reply.shape in self.shape)
            and (not self.ending or re.search(self.ending, reply.ending.lower()) is not None)
            and (not self.said or re.search(self.said, reply.said) is not None)
        )


_COMPLETION = tuple(shape for shape in Shape if shape is not Shape.NONE)
#: Statuses of a request that was understood and is not answered.
_REFUSED = (200, 400, 403, 422, 451, 500)
_ACCOUNT = (200, 400, 401, 403, 412, 429, 500)

_COUNTRY = (
    r"unsupported_country|country, region|(?:country|region|location|territory) is not supported"
    r"|not (?:available|supported|offered) in your (?:country|region|location)|所在(?:地区|国家)"
)
_FILTERED = (
    r"content[_ -]?(?:policy|filter)|data_?inspection|data inspection|inappropriate|responsible_?ai"
    r"|sensitive_?(?:content|word|info|topic|data)|(?<!case[ -])\bsensitive\b(?! to\b)|content exists risk"
    r"|moderation|safety|content violates|violat\w+ (?:\w+ ){0,3}(?:usage|content|polic|guideline|terms)"
    r"|prohibited[_ ]?(?:content|use)|harmful|unsafe|jailbreak|censor"
    r"|high risk|risk control|guardrail_?(?:intervened|triggered)"
    r"|(?:input|prompt|content|text|message|output)s? (?:\w+ ){0,2}(?:flagged|blocked|filtered)"
    r"|敏感|违规|不安全|不合规|违反|不当内容|内容安全|审核|风控"
)
_TOO_LONG = (
    r"context[_ ](?:length|window|size)|maximum context|context_?length|input length|prompt is too long"
    r"|too many (?:input |prompt )?tokens|input (?:is )?too (?:long|large)|request too large"
    r"|(?:prompt|input|text|messages?) (?:\w+ ){0,4}(?:exceed|too long)|string_above_max"
    r"|reduce the length|shorten|exceeds? the (?:model'?s? )?(?:maximum|context|limit of tokens)"
    r"|超长|过长|上下文|超出(?:最大)?长度"
)
_NO_CREDIT = (
    r"insufficient[_ ]?(?:user[_ ])?quota|insufficient[_ ](?:account[_ ])?(?:balance|credit|fund)"
    r"|exceeded_current_quota|arrearage|overdue|billing_(?:hard_limit|not_active)|credit balance|credit_limit"
    r"|(?:no|out of|any|enough|more) credits?\b"
    r"|balance (?:\w+ ){0,3}(?:insufficient|not enough|too low|negative)"
    r"|payment required|quota is not enough|token_quota_failed|spending (?:limit|cap)|past invoices"
    r"|余额不足|余额|欠费|额度不足|额度已|充值"
)
_FREE_TIER = r"freetieronly|free[ _-]tier|free (?:allocated )?quota|免费额度"
_RATE = (
    r"retry in|retry after|try again|per[_ ]?(?:minute|second|day|hour)|perminute|rate[_ -]?limit"
    r"|\b[rt]p[md]\b|too many requests|throttling|频率|限流|稍后|饱和|并发"
)
_KEY = (
    r"(?:invalid|incorrect|wrong|expired|missing|revoked|disabled|no)[_ ]?\w{0,12}[_ ]?api[_ -]?key"
    r"|(?:api|access)[_ -]?key (?:\w+ ){0,4}(?:invalid|incorrect|expired|required|missing|not valid)"
    r"|(?:api|access)[_ -]?key (?:\w+ ){0,4}(?:revoked|disabled)|invalidapikey|authentication"
    r"|unauthenticated|invalid (?:bearer )?token|无效的令牌|密钥|令牌|鉴权"
)
_ACCESS = (
    r"mismatched_|organi[sz]ation|\bproject\b|must be verified|unpurchased|subscription|\baccount\b|\bip\b"
    r"|not (?:been )?(?:purchased|activated|authori[sz]ed|allowed to)|model_?not_?open|permission|whitelist"
    r"|access[_. ]?denied|have (?:\w+ )?access|no access|allowlist|开通|权限|白名单"
)
_DATA_POLICY = r"data policy|privacy|no allowed providers"
_NO_MODEL = (
    r"model[_ ]?not[_ ]?(?:found|exist)|deploymentnotfound|invalidendpointormodel|unknown model|no such model"
    r"|invalid model|model.{0,100}(?:not exist|not found|unknown|is not a valid model|不存在)"
)
_BUSY = (
    r"overload|\bbusy\b|try again|temporar|time[d ]?[- ]?out|unavailable|capacity|rate[_ -]?limit|throttl"
    r"|too many requests|loading|warming|繁忙|稍后|拥挤|负载|饱和|限流|频率|超时"
)

#: The first row that fits decides.
# fmt: off
TABLE = (
    # Completions: an ending in words, then what the message holds.
    Row("withheld", Fate.TEXT, shape=_COMPLETION, reason="content_filter",
        ending=r"filter|safety|sensitive|prohibit|blocklist|block|recitation|spii|censor|moderat|guardrail|risk",
        says="the model's provider withheld its answer ({ending})"),
    Row("refused", Fate.TEXT, shape=(Shape.REFUSAL,), reason="refusal"),
    Row("ended as a refusal", Fate.TEXT, shape=_COMPLETION, ending=r"refus", reason="refusal",
        says="the model refused ({ending})"),
    Row("ended by an error", Fate.RETRY, shape=_COMPLETION, reason="ended_early",
        ending=r"error|abort|fail|overload|insufficient|cancel|interrupt|time_?out|unavailable",
        says="the answer ended before it was whole ({ending})"),
    Row("cut off", Fate.CUT, shape=_COMPLETION, ending=r"length|max|limit|window"),
    Row("thinking alone", Fate.TEXT, shape=(Shape.THINKING,), reason="thinking_only",
        says="the whole answer is in reasoning_content and none in content: the server's reasoning parser "
        "swallows answers, start it with the parser of this model, or with none"),
    Row("nothing said", Fate.TEXT, shape=(Shape.NOTHING,), reason="empty", says="the model answered nothing"),
    Row("no text", Fate.TEXT, shape=(Shape.UNREADABLE,), reason="malformed",
        says="the model answered something that is no text"),
    Row("whole", Fate.WHOLE, shape=(Shape.TEXT,)),
    # One text.
    Row("moderation's findings", Fate.TEXT, moderated=True, reason="content_filter"),
    Row("country", Fate.JUDGE, status=(*_ACCOUNT, 404, 451), said=_COUNTRY,
        says="is not offered where this machine is ({status}: {said}): use another JUDGE_MODEL or endpoint"),
    Row("no free tier left", Fate.JUDGE, status=(400, 402, 403), said=_FREE_TIER,
        says="has no free calls left ({status}: {said}): look at the account of {key}"),
    Row("no credit by status", Fate.JUDGE, status=(402,),
        says="has no credit left ({status}: {said}): look at the account of {key}"),
    Row("no credit by the sentence", Fate.JUDGE, status=_ACCOUNT, said=_NO_CREDIT,
        says="has no credit left ({status}: {said}): look at the account of {key}"),
    Row("data policy", Fate.JUDGE, status=(400, 403, 404), said=_DATA_POLICY,
        says="is not served under the account's settings ({status}: {said}): change them as it says"),
    Row("too long", Fate.TEXT, status=(200, 400, 413, 414, 422, 429, 500), said=_TOO_LONG, reason="too_long"),
    Row("body too large", Fate.TEXT, status=(413, 414), reason="too_long"),
    Row("filtered", Fate.TEXT, status=_REFUSED, said=_FILTERED, reason="content_filter"),
    Row("legal reasons", Fate.TEXT, status=(451,), reason="content_filter"),
    # This judge.
    Row("key refused", Fate.KEY, status=(401,),
        says="refuses the key ({status}: {said}): check {key}{hint}"),
    Row("proxy", Fate.JUDGE, status=(407,),
        says="is behind a proxy that wants a user and a password ({said}): set them in HTTPS_PROXY"),
    Row("key refused by the sentence", Fate.JUDGE, status=(400, 403), said=_KEY,
        says="refuses the key ({status}: {said}): check {key}"),
    Row("stream alone", Fate.JUDGE, status=(400, 422), said=r"only supports? stream|stream(?:ing)? only",
        says="answers only as a stream, which is not supported ({status}: {said}): use another JUDGE_MODEL"),
    Row("other address", Fate.JUDGE, status=(400, 404), said=r"\burl error\b",
        says="is not served at DashScope's own address ({status}: {said}): it is at the OpenAI-compatible "
        "one, so set OPENAI_BASE_URL={compatible} and OPENAI_API_KEY to the key of DASHSCOPE_API_KEY"),
    Row("no such model", Fate.JUDGE, status=(400, 403, 404, 422), said=_NO_MODEL,
        says="is not there ({status}: {said}): check its name and OPENAI_BASE_URL"),
    Row("firewall", Fate.TEXT, status=(403, 406), body=(Body.PAGE,), reason="firewall",
        says="a firewall's page in place of an answer: {said}"),
    Row("access refused", Fate.JUDGE, status=(403,), body=(Body.JSON,), said=_ACCESS,
        says="refuses access ({status}: {said}): check {key} and what its account may use"),
    Row("refused without saying why", Fate.DOUBTFUL, status=(403,),
        says="refuses access ({status}: {said}): check {key} and what its account may use"),
    Row("not there", Fate.JUDGE, status=(404, 410), body=(Body.JSON,),
        says="is not there ({status}: {said}): check its name and OPENAI_BASE_URL"),
    Row("no page there", Fate.STRANGE, status=(404, 410),
        says="is not there ({status}: {said}): check its name and OPENAI_BASE_URL"),
    Row("nothing that takes requests, or a firewall", Fate.DOUBTFUL, status=(405,),
        says="takes no requests there ({status}: {said}): check OPENAI_BASE_URL"),
    Row("no channel", Fate.STRANGE, status=(503,), said=rf"无可用渠道|no available channel|{_NO_MODEL}",
        says="is not there ({status}: {said}): check its name and OPENAI_BASE_URL"),
    Row("redirect", Fate.JUDGE, status=range(300, 400),
        says="is asked at an address that redirects elsewhere ({status}: {location}); texts are not sent on: "
        "set OPENAI_BASE_URL to the new address, if it is to be trusted"),
    # May pass.
    Row("rate", Fate.RETRY, status=(429,), said=_RATE),
    Row("quota", Fate.JUDGE, status=(403, 429), said=r"exceeded your (?:current|monthly) (?:\w+ )?quota",
        says="has no credit left ({status}: {said}): look at the account of {key}"),
    Row("gateway with nothing behind it", Fate.AWAY, status=(502, 503, 521, 522, 523, 525, 526, 530)),
    Row("busy or broken", Fate.RETRY, status=(408, 409, 423, 424, 425, 429, 498, 499, *range(500, 600))),
    Row("busy by the sentence", Fate.RETRY, said=_BUSY, status=(200, 400)),
    Row("page in place of an answer", Fate.STRANGE, status=range(200, 300), body=(Body.PAGE,),
        reason="malformed", says="answers with a web page ({said}), not in JSON: check OPENAI_BASE_URL, "
        "which mostly ends in /v1, and whether the network wants a sign-in"),
    Row("no answer in it", Fate.RETRY, status=range(200, 300), reason="malformed",
        says="the model's endpoint answered without a message{colon}"),
    Row("other refusals", Fate.TEXT),
)
# fmt: on


def row_of(reply: Reply) -> Row:
    """The row that decides on a reply."""
    return next(row for row in TABLE if row.fits(reply))


def failure_of(
    reply: Reply,
    *,
    judge: str,
    key_variable: str,
    key: str = "",
    key_hint: str = "",
    compatible: str = "",
    answered: bool = False,
) -> WritingRLError | None:
    """The exception that a reply stands for; None for an answer, whole or cut off.

    Args:
        reply: What came back.
        judge: Description of the judge.
        key_variable: Environment variable of the key.
        key: The key itself, which some endpoints repeat.
        key_hint: What else to check where the key is refused.
        compatible: The provider's OpenAI-compatible address, where the one that was asked is another.
        answered: Whether this judge has answered before.
    """
    row = row_of(reply)
    if row.fate in (Fate.WHOLE, Fate.CUT):
        return None
    said = presentable(reply.message, key) or presentable(reply.code, key)
    status, code = str(reply.status), presentable(reply.code.replace(str(reply.status), ""), key)[:60]
    location = {name.lower(): value for name, value in reply.headers.items()}.get("location", "")
    words = {
        "{status}": f"{status} {code}".strip() if reply.message else status,
        "{said}": said or "without a word",
        "{colon}": f": {said}" if said else "",
        "{key}": key_variable,
        "{hint}": key_hint,
        "{compatible}": compatible,
        "{ending}": presentable(reply.ending, key)[:40],
        "{location}": presentable(location, key),
    }
    says = re.sub(r"\{\w+\}", lambda match: words[match[0]], row.says)
    reason = row.reason or f"http_{reply.status}"
    final = JudgeError(f"model {judge} {says}")
    after_s = retry_after_s(reply.headers)
    if row.fate is Fate.JUDGE and not answered:
        return final
    if row.fate is Fate.TEXT or (row.fate is Fate.DOUBTFUL and answered):
        return Unscored(reason, said if row.fate is Fate.DOUBTFUL else says, tokens=reply.billed[:2])
    if row.fate is Fate.AWAY:
        return Unreached(reason, says, after_s)
    if row.fate is Fate.RETRY or (row.fate is Fate.STRANGE and answered):
        return Transient(reason, says, after_s, tokens=reply.billed[:2])
    return MayBeFinal(reason, final, after_s)


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds after which a provider wants to be asked again (RFC 9110, section 10.2.3), or None.

    Args:
        headers: Of its answer; `retry-after-ms` (OpenAI) counts before `retry-after`.
        now: The time; by default that of the system.
    """
    values = {name.lower(): value for name, value in headers.items()}
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return _plausible(float(values[name]) * scale)
        except (KeyError, ValueError):
            continue
    try:
        then = email.utils.parsedate_to_datetime(values["retry-after"])
        then = then if then.tzinfo else then.replace(tzinfo=timezone.utc)
        return _plausible((then - (now or datetime.now(timezone.utc))).total_seconds())
    except (KeyError, ValueError, OverflowError, TypeError, IndexError):
        return None


def _plausible(seconds: float) -> float | None:
    return max(0.0, seconds) if math.isfinite(seconds) and seconds <= LONGEST_RETRY_AFTER_S else None


def presentable(message: str, key: str) -> str:
    """A provider's sentence in one line, cut short, without secrets and control characters."""
    return printable(redact(hide_key(message[:READ].strip(), key)), SHOWN)
