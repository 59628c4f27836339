"""The exceptions of Writing-RL.

WritingRLError
├── UserError            a mistake that a person can mend; printed as one line, without a traceback
│   ├── SettingError     a setting or an environment variable
│   ├── DataError        a row of a data set
│   ├── IndexFileError   the reference index file
│   ├── JudgeError       the judge cannot be used at all (wrong key, unknown model, unreachable)
│   │   └── BudgetSpent  the judge may not be asked any more
│   └── SetupError       the machine or the installation
├── Unscored             one comparison got no verdict; never a loss, a tie or a win
│   └── Transient        a failure that may pass: asked again, it may be answered
│       ├── Unreached    likewise: the request never reached a judge, which may be away for a while
│       └── MayBeFinal   likewise; where it repeats while nothing is answered, the judge cannot be used
└── RunFailure           a worker of a running training died, or a rollout failed
    └── RunStopped       the run was ended on purpose, between two steps
        └── RunComplete  its budget is used up, as was asked for: no failure
"""

from __future__ import annotations


class WritingRLError(Exception):
    """Base of everything that Writing-RL raises on purpose."""


class UserError(WritingRLError):
    """A mistake that a person can mend: the message names the place and the remedy in one line."""


class SettingError(UserError):
    """A setting has a value that cannot work."""


class DataError(UserError):
    """A data set cannot be used; the message names file and row."""


class IndexFileError(UserError):
    """A reference index file cannot be used; the message names file and id."""


class JudgeError(UserError):
    """The judge cannot be used at all: wrong key, unknown model, no such address."""


class BudgetSpent(JudgeError):
    """The judge may not be asked any more: what it may cost is spent."""


class SetupError(UserError):
    """The machine or the installation lacks something."""


class Unscored(WritingRLError):
    """One comparison got no verdict.

    Attributes:
        reason: Short machine-readable cause, such as `timeout` or `no_verdict`.
        detail: What else is known, such as the last message of the judge's provider.
        tokens: Tokens read and written that a failed request is billed for; None where that is not known.
        cost_usd: What they cost.
    """

    def __init__(self, reason: str, detail: str = "", *, tokens: tuple[int, int] | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.tokens = tokens
        self.cost_usd = 0.0


class Transient(Unscored):
    """A request failed in a way that may pass.

    Attributes:
        after_s: Seconds after which the provider wants to be asked again, or None where it does not say.
    """

    def __init__(
        self,
        reason: str,
        detail: str = "",
        after_s: float | None = None,
        *,
        tokens: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(reason, detail, tokens=tokens)
        self.after_s = after_s


class Unreached(Transient):
    """A request never reached a judge: refused connection, unknown host, gateway with nothing behind it.

    While no other request is answered, the judge is away, which is not the question's fault.
    """

    def __init__(self, reason: str, detail: str = "", after_s: float | None = None) -> None:
        super().__init__(reason, detail, after_s, tokens=(0, 0))


class MayBeFinal(Transient):
    """A failure of one request that means the end if it is that of all: a 401 of a gateway, for instance.

    Attributes:
        final: What to raise where such failures come in a row and no request is answered meanwhile.
    """

    def __init__(self, reason: str, final: JudgeError, after_s: float | None = None) -> None:
        super().__init__(reason, str(final), after_s, tokens=(0, 0))
        self.final = final


class RunFailure(WritingRLError):
    """A running training cannot go on; the message names the worker and the cause."""


class RunStopped(RunFailure):
    """A running training was ended on purpose; its last complete step is kept."""


class RunComplete(RunStopped):
    """A running training was ended by a limit that was set for it, as was asked for."""
