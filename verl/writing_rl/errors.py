"""The exceptions of Writing-RL.

WritingRLError
├── UserError            a mistake that a person can mend; printed as one line, without a traceback
│   ├── SettingError     a setting or an environment variable
│   ├── DataError        a row of a data set
│   ├── IndexFileError   the reference index file
│   ├── JudgeError       the judge cannot be used at all (wrong key, unknown model, unreachable)
│   └── SetupError       the machine or the installation
├── Unscored             one comparison got no verdict; never a loss, a tie or a win
└── RunFailure           a worker of a running training died, or a rollout failed
    └── RunStopped       the run was ended on purpose, between two steps
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


class SetupError(UserError):
    """The machine or the installation lacks something."""


class Unscored(WritingRLError):
    """One comparison got no verdict.

    Attributes:
        reason: Short machine-readable cause, such as `timeout` or `no_verdict`.
        detail: What else is known, such as the last message of the judge's provider.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class RunFailure(WritingRLError):
    """A running training cannot go on; the message names the worker and the cause."""


class RunStopped(RunFailure):
    """A running training was ended on purpose; its last complete step is kept."""
