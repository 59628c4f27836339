"""The parameters of a request: the user's, those learnt from an endpoint's refusals, and the defaults.

Endpoints differ in what they take: one refuses `temperature`, another wants `max_completion_tokens` in place
of `max_tokens`. A refused parameter that nobody asked for is left out or renamed; one that the user set is
final. Pure functions, and what one judge's client remembers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from writing_rl.errors import JudgeError
from writing_rl.judging.client.prices import OUTPUT_LIMITS
from writing_rl.judging.providers.failures import Reply, presentable, row_of
from writing_rl.judging.settings import JudgeSettings

#: Names of the most tokens that a model may write; where the user sets one, ours is not sent beside it.
LIMITS = OUTPUT_LIMITS
#: Statuses of a request whose parameters are refused.
_STATUSES = (400, 422, 500, 501)
_CODES = r"unsupported_(?:parameter|value)|unknown_parameter|unrecognized|invalid_?parameter|extra_forbidden"
#: What endpoints say of a parameter that they do not take, or not with its value.
_REFUSES = (
    r"support|not (?:allowed|permitted|available|accepted|valid)|unknown|unrecogni[sz]ed|unexpected|extra"
    r"|deprecat|must|cannot|can't|can not|invalid|incompatible|only|should be|out of range|range of"
    r"|restricted|greater|less|not implemented|no longer|remove|instead|too (?:large|high|low)"
    r"|不支持|必须|只能|无效|范围|不能|弃用"
)
#: More names of a limit on tokens than `LIMITS`, as a sentence may offer one.
_OFFERED = re.compile(r"(?<!\w)(max_\w{0,30}tokens)(?!\w)")
#: What is said of hybrids that think unless they are told not to.
_THINKING = re.compile(
    r"enable_thinking\W{0,3}(?P<words>(?:\w+ ){0,8}?)\W{0,3}(?P<value>true|false)\b(?P<rest>.{0,12})"
)


class Refused(NamedTuple):
    """A parameter that an endpoint refuses.

    Attributes:
        name: Its name.
        instead: What to send in its place; empty to leave it out.
    """

    name: str
    instead: Mapping[str, Any]


def refused(reply: Reply, sent: Mapping[str, Any]) -> tuple[Refused, ...]:
    """The parameters that a reply refuses; empty where it is about something else.

    Args:
        reply: What came back.
        sent: The parameters of the request.
    """
    if reply.status not in _STATUSES or row_of(reply).reason == "too_long" or reply.moderated:
        return ()
    said = reply.said
    if thinking := _THINKING.search(said):
        negated = re.search(r"\bnot\b|cannot|n't|不", f"{thinking['words']} {thinking['rest']}")
        wanted = (thinking["value"] == "true") is not bool(negated)
        return (Refused("enable_thinking", {"enable_thinking": wanted}),)
    named = re.split(r"[.\[\]/]", reply.parameter.strip("'\"` "))[-1]
    if named in sent:
        names = [named]
    elif re.search(_REFUSES, said) or re.search(_CODES, said):
        names = [name for name in sent if _mentions(said, name.lower())]
    else:
        names = []
    return tuple(Refused(name, _instead(name, sent, said)) for name in names)


def _mentions(said: str, name: str) -> bool:
    """Whether a sentence is about a parameter; a name that is a common word must stand out in it."""
    word = rf"(?<![\w-]){re.escape(name)}(?![\w-])"
    if "_" not in name and name != "temperature":
        word = rf"(?:['\"`“.]|(?:parameter|argument|field|option)s?:? ){word}"
    return re.search(word, said) is not None


def _instead(name: str, sent: Mapping[str, Any], said: str) -> Mapping[str, Any]:
    """What to send in place of a refused parameter."""
    if name not in LIMITS:
        return {}
    for offered in _OFFERED.findall(said):
        if offered not in sent:
            return {offered: sent[name]}
    unknown = name == "max_tokens" and "unsupported_parameter" in said
    return {"max_completion_tokens": sent[name]} if unknown else {}


class Parameters:
    """The parameters of the requests to one judge.

    Attributes:
        sent: All of them.
        learnt: What refusals taught: a value, or None for a parameter that is left out.
    """

    def __init__(self, name: str, settings: JudgeSettings) -> None:
        """Merges the user's parameters, what was learnt before, and the defaults.

        Args:
            name: The judge's name in the settings.
            settings: How judges are asked.
        """
        self._users = settings.request_of(name)
        self._defaults = {"temperature": settings.temperature, "max_tokens": settings.max_tokens}
        if any(limit in self._users for limit in LIMITS):
            del self._defaults["max_tokens"]
        self._set = settings.own
        self._changed: set[str] = set()
        self.learnt: dict[str, Any] = dict(settings.learnt.get(name, {}))
        self.sent = self._merged()

    def _merged(self) -> dict[str, Any]:
        merged = {**self._defaults, **self.learnt, **self._users}
        return {name: value for name, value in merged.items() if value is not None}

    def learn(
        self, reply: Reply, sent: Mapping[str, Any], judge: str, key: str, *, answered: bool
    ) -> str | None:
        """Learns from the refusal of a parameter that the user did not set.

        Args:
            reply: What came back.
            sent: The parameters of that request; others may have taught something since.
            judge: Description of the judge.
            key: Its key, which its endpoint may repeat.
            answered: Whether the judge has answered before: then no refusal is final.

        Returns:
            What was learnt in a sentence, empty where that was known by now; None where nothing can be.

        Raises:
            JudgeError: The user set what is refused.
        """
        refusals = [self._untried(refusal) for refusal in refused(reply, sent)]
        if not refusals:
            return None
        if sent != self.sent:
            return ""
        said = f"{reply.status}: {presentable(reply.message, key)}"
        refusal = next((refusal for refusal in refusals if self._may_change(refusal)), None)
        if refusal is None:
            if answered or not (setting := self._setting(refusals[0].name)):
                return None
            raise JudgeError(
                f"model {judge} refuses {refusals[0].name} ({said}): change {setting}, or take it out"
            )
        name, instead = refusal
        self._changed.add(name)
        if name in LIMITS and "max_tokens" in self._defaults:
            self.learnt = {other: value for other, value in self.learnt.items() if other not in LIMITS}
            self.learnt["max_tokens"] = None
        elif name not in instead:
            self.learnt[name] = None
        self.learnt |= instead
        self.sent = self._merged()
        done = ", ".join(f"{other}={value} is sent" for other, value in instead.items()) or "it is left out"
        return f"the judge {judge} refuses {name}={sent.get(name)} ({said}): {done} from now on"

    def _untried(self, refusal: Refused) -> Refused:
        """A refusal without offers that were refused themselves."""
        name, instead = refusal
        tried = self._changed - {name}
        return Refused(name, {other: value for other, value in instead.items() if other not in tried})

    def _may_change(self, refusal: Refused) -> bool:
        name, instead = refusal
        if name in self._users or name in self._changed:
            return False
        if name in LIMITS and "max_tokens" in self._set:  # the number is the user's, its name is not
            return bool(instead)
        return name not in self._set

    def _setting(self, name: str) -> str | None:
        """The setting with which the user set a parameter."""
        if name in self._users:
            return "writing_rl.judge.request (in tools, --request)"
        name = "max_tokens" if name in LIMITS else name
        return f"writing_rl.judge.{name} (in tools, the option --...{name})" if name in self._set else None
