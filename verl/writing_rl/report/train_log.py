"""What the logs of a training tell: its settings, its number of steps, versions, and how it ended."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from writing_rl.redact import clean, redact
from writing_rl.report.run_data import LogFacts
from writing_rl.start_record import flat, read_starts

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ACTOR = re.compile(r"^\(\w+ pid=\d+(?:, ip=[^)]*)?\) ?")
_STEP = re.compile(r"\[writing-rl\] step \d+/(\d+) ")
_VLLM = re.compile(r"Initializing a V1 LLM engine \(v([\w.+-]+)\)")
_ENDED = "[writing-rl] ended before its last step: "
#: verl prints its whole configuration once, as Python writes a dictionary.
_BEGINNING = "{'actor_rollout_ref': "
#: Lines of such a print at most; it has about a thousand.
_LONGEST = 20_000


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
            lines = map(_plain, file)
            for line in lines:
                if line.startswith(_BEGINNING):
                    settings = flat(_configuration(line, lines)) or settings
                elif "[writing-rl] " in line:
                    if match := _STEP.search(line):
                        total_steps = int(match[1])
                    elif _ENDED in line:
                        endings.append("Ended before its last step: " + line.partition(_ENDED)[2])
                elif line.startswith("Error: "):
                    endings.append(line)
                elif match := _VLLM.search(line):
                    versions["vllm"] = match[1]
    if records:  # starts of older versions are known by their logs alone
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


def _configuration(first: str, rest: Iterator[str]) -> Mapping[str, Any]:
    """The dictionary that begins with a line; empty where it cannot be read.

    Lines of other processes may stand in between; they do not begin with a space.
    """
    lines = [first]
    for line in _at_most(rest, _LONGEST):
        if line.startswith(" "):
            lines.append(line)
            if line.endswith("}"):
                try:
                    found = ast.literal_eval("\n".join(lines))
                except (ValueError, SyntaxError, MemoryError, RecursionError):
                    continue  # an inner dictionary may end so, too
                return found if isinstance(found, dict) else {}
    return {}


def _at_most(lines: Iterator[str], most: int) -> Iterator[str]:
    for _, line in zip(range(most), lines, strict=False):
        yield line
