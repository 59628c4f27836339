"""What the records and logs of a training tell: settings, versions, number of steps, and how it ended."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from writing_rl.runlog.start_record import read_starts
from writing_rl.util.redact import clean, redact

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ACTOR = re.compile(r"^\(\w+ pid=\d+(?:, ip=[^)]*)?\) ?")
_STEP = re.compile(r"\[writing-rl\] step \d+/(\d+) ")
_ENDED = "[writing-rl] ended before its last step: "


@dataclass(frozen=True)
class LogFacts:
    """What the logs of a run's processes tell.

    Attributes:
        settings: The whole resolved configuration, keys with dots; empty where no log holds it.
        total_steps: Steps of the whole training, as the run itself said last.
        versions: Of what the last start ran with, by name.
        endings: What the last start said when it ended early, one line each.
        starts: How many starts there were.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    total_steps: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    endings: Sequence[str] = ()
    starts: int = 0


def read_train_logs(folder: Path) -> LogFacts:
    """Reads the records and logs of all starts of an experiment; what the last one says counts.

    Args:
        folder: `logs/NAME`.

    Returns:
        What they tell; nothing where there is no log.
    """
    settings: dict[str, Any] = {}
    total_steps = None
    versions: dict[str, str] = {}
    records = read_starts(folder)
    endings: list[str] = []
    paths = sorted(folder.glob("train-*.log"))
    for path in paths:
        endings = []
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in map(_plain, file):
                if "[writing-rl] " in line:
                    if match := _STEP.search(line):
                        total_steps = int(match[1])
                    elif _ENDED in line:
                        endings.append("Ended before its last step: " + line.partition(_ENDED)[2])
                elif line.startswith("Error: "):
                    endings.append(line)
    if records:
        settings, versions = records[-1]["settings"], records[-1]["versions"]
    configured = settings.get("trainer.total_training_steps")
    if total_steps is None and isinstance(configured, int) and configured > 0:
        total_steps = configured
    # More than a few lines of one start say the same.
    kept = tuple(clean(redact(ending))[:400] for ending in endings[:3])
    return LogFacts(settings, total_steps, versions, kept, max(len(paths), len(records)))


def _plain(line: str) -> str:
    """A line without colours and without the name of the process that wrote it."""
    return _ACTOR.sub("", _COLOUR.sub("", line.rstrip("\n")))
