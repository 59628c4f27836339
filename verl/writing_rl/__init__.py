"""Reinforcement learning for long-form writing, as an overlay on verl 0.9.1 (paper: arXiv 2506.05760).

The path of a sample: `data` makes the rows, verl rolls out, `verl.workers.reward_manager.parallel` asks
`curriculum` for the current reference and `judging` for a verdict, `trainer` commits the promotions of a
step.

What other programs may use is imported from here: `from writing_rl import compare`. It is loaded when it is
used, since `import verl` imports this package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from writing_rl.errors import SettingError, Unscored, UserError, WritingRLError
    from writing_rl.judging.compare import Comparison, compare
    from writing_rl.judging.judge import Judge
    from writing_rl.judging.settings import JudgeSettings
    from writing_rl.judging.verdict import Outcome
    from writing_rl.settings import Settings

__version__ = "0.1.0"

_MODULES = {
    "Comparison": "judging.compare",
    "Judge": "judging.judge",
    "JudgeSettings": "judging.settings",
    "Outcome": "judging.verdict",
    "SettingError": "errors",
    "Settings": "settings",
    "Unscored": "errors",
    "UserError": "errors",
    "WritingRLError": "errors",
    "compare": "judging.compare",
}

__all__ = [
    "Comparison",
    "Judge",
    "JudgeSettings",
    "Outcome",
    "SettingError",
    "Settings",
    "Unscored",
    "UserError",
    "WritingRLError",
    "__version__",
    "compare",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
