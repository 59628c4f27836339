"""When each phase of a training was, and how much memory was in use then."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: In the log folder of a rehearsal.
PHASE_FILE = "phases.jsonl"
#: In the order of a step.
ORDER = ("load", "rollout", "log-probabilities", "update", "save", "weight sync")


@dataclass(frozen=True)
class Span:
    """A phase from its beginning to its end, in seconds since the epoch."""

    phase: str
    begin: float
    end: float


@dataclass(frozen=True)
class Sample:
    """Memory in use at a moment.

    Attributes:
        time: Seconds since the epoch.
        host: Bytes of main memory of all processes of the run, shared pages counted once.
        gpus: Bytes of each GPU.
    """

    time: float
    host: int
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True)
class Peak:
    """The most of one phase: bytes of main memory, and of the fullest GPU."""

    host: int
    gpu: int


def read_spans(path: Path) -> list[Span]:
    """The phases of a log, in the order of their ends; one that has not ended is left out.

    Raises:
        OSError: There is no log.
    """
    begun: dict[str, float] = {}
    spans = []
    for line in path.read_text(encoding="utf-8").splitlines():
        entry: Mapping[str, object] = json.loads(line)
        phase, moment = str(entry["phase"]), float(str(entry["time"]))
        if entry["begins"]:
            begun.setdefault(phase, moment)
        elif phase in begun:
            spans.append(Span(phase, begun.pop(phase), moment))
    return spans


def seconds(spans: Iterable[Span]) -> dict[str, float]:
    """Seconds of each phase, in the order of a step."""
    total = dict.fromkeys(ORDER, 0.0)
    for span in spans:
        total[span.phase] = total.get(span.phase, 0.0) + span.end - span.begin
    return total


def peaks(spans: Sequence[Span], samples: Sequence[Sample]) -> dict[str, Peak]:
    """The most memory that was seen in each phase; a phase between two looks is given the nearest one."""
    found: dict[str, Peak] = {}
    for span in spans:
        within = [sample for sample in samples if span.begin <= sample.time <= span.end]
        if not within and samples:
            middle = (span.begin + span.end) / 2
            within = [min(samples, key=lambda sample: abs(sample.time - middle))]
        for sample in within:
            before = found.get(span.phase, Peak(0, 0))
            found[span.phase] = Peak(max(before.host, sample.host), max(before.gpu, *sample.gpus, 0))
    return {phase: found[phase] for phase in ORDER if phase in found}
