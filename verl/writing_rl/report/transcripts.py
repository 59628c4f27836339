"""Reading the judge's transcripts: figures of all comparisons, and the texts of a few.

Transcripts are large, so they are read line by line and only figures are kept, with the place of each line.
What is worth showing is known at the end; its lines are then read a second time.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from writing_rl.judging.verdict import Outcome
from writing_rl.report.run_data import Judged, Meeting, Place, Reason
from writing_rl.util.quantiles import quantile
from writing_rl.util.redact import clean, redact

_NAME = re.compile(r"comparisons-(?P<machine>.*)-\d+\.jsonl")
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}

#: What a row of the data set is known by: `ground_truth.id` and `extra_info.index`.
_Row = tuple[int, int]
_Meetings = dict[tuple[_Row, int], Meeting]


@dataclass
class _Part:
    """What the transcript of one machine tells."""

    training: _Meetings = field(default_factory=dict)
    validation: _Meetings = field(default_factory=dict)
    latencies_s: defaultdict[int, array] = field(default_factory=lambda: defaultdict(lambda: array("d")))
    last_step: int = 0

    def go_back(self, step: int) -> None:
        """Forgets what came after a step, from which the run went on."""
        for meetings in (self.training, self.validation):
            for place in [place for place in meetings if place[1] > step]:
                del meetings[place]
        for later in [other for other in self.latencies_s if other >= step]:
            del self.latencies_s[later]


def read_transcripts(folder: Path, by_index: bool | None = None) -> Judged:
    """Reads what was judged.

    A step that a run has taken again, after it went back to a checkpoint, counts as it was the last time.

    Args:
        folder: `logs/NAME/judge`.
        by_index: Whether samples are named by `extra_info.index`; None: where ids turn out to repeat. See
            `writing_rl.dataset.samples.SampleKeys`.
    """
    files = _files(folder)
    judged = Judged(files=files)
    reasons: dict[str, Reason] = {}
    parts: dict[str, _Part] = {}
    for number, path in enumerate(files):
        part = parts.setdefault(_machine(path), _Part())
        for place, entry in _lines(path, number):
            if entry is None:
                judged.unreadable += 1
                continue
            try:
                _note(entry, place, part, reasons, judged.judges)
            except (KeyError, TypeError, ValueError, AttributeError):
                judged.unreadable += 1
                continue
            judged.comparisons += 1
    training = _merged([part.training for part in parts.values()])
    if by_index is None:
        by_index = _ids_repeat(training)
    judged.training = _by_sample(training, by_index)
    judged.validation = _by_sample(_merged([part.validation for part in parts.values()]), by_index)
    judged.latencies_s = _quantiles(list(parts.values()))
    for reason in reasons.values():  # a provider's words may hold anything
        reason.name, reason.example = clean(redact(reason.name))[:60], clean(redact(reason.example))[:200]
    judged.reasons = sorted(reasons.values(), key=lambda reason: (-reason.count, reason.name))
    return judged


def read_entry(judged: Judged, place: Place) -> Mapping[str, Any]:
    """Reads one comparison again, with its texts; empty where the file is gone."""
    try:
        with open(judged.files[place.file], "rb") as file:
            file.seek(place.offset)
            entry = orjson.loads(file.read(place.length))
    except (OSError, ValueError):
        return {}
    return entry if isinstance(entry, dict) else {}


def _files(folder: Path) -> list[Path]:
    """The transcripts; those of the machine that wrote last come last, each machine's in their order."""
    paths = sorted(folder.glob("comparisons-*.jsonl"))
    written: dict[str, float] = {}
    for path in paths:
        written[_machine(path)] = max(written.get(_machine(path), 0.0), path.stat().st_mtime)
    return sorted(paths, key=lambda path: (written[_machine(path)], _machine(path), path.name))


def _machine(path: Path) -> str:
    match = _NAME.fullmatch(path.name)
    return match["machine"] if match else path.name


def _lines(path: Path, number: int) -> Iterator[tuple[tuple[int, int, int], Mapping[str, Any] | None]]:
    """Place and entry of every line; None of one that is damaged. A torn last line is left out."""
    offset = 0
    with open(path, "rb") as file:
        for line in file:
            if line.endswith(b"\n") and line.strip():
                try:
                    entry = orjson.loads(line)
                except ValueError:
                    entry = None
                yield (number, offset, len(line)), entry if isinstance(entry, dict) else None
            offset += len(line)


def _note(
    entry: Mapping[str, Any],
    place: tuple[int, int, int],
    part: _Part,
    reasons: dict[str, Reason],
    judges: Counter[str],
) -> None:
    """Notes one comparison.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: It is none.
    """
    step, outcome = int(entry["step"]), _OUTCOMES[entry["outcome"]]
    row = int(entry["id"]), int(entry.get("index", -1))
    group = str(entry["rollout"]).rpartition("_")[0]
    training = bool(entry["training"])
    reference = int(entry["reference_index"])
    answers = [(str(call["judge"]), float(call["latency_s"]), call["cached"]) for call in entry["calls"]]
    # Nothing of a line counts unless all of it can be read.
    if training and step < part.last_step:
        part.go_back(step)
    if training:
        part.last_step = step
    meetings = part.training if training else part.validation
    meeting = meetings.get((row, step))
    if meeting is None or meeting.group != group:
        meeting = meetings[row, step] = Meeting(step, group, reference)
    meeting.places.append(Place(*place, outcome))
    for judge, latency_s, cached in answers:
        judges[judge] += 1
        if training and not cached:
            part.latencies_s[step].append(latency_s)
    if outcome is Outcome.UNSCORED:
        name = str(entry.get("reason") or "unknown")
        reason = reasons.setdefault(name, Reason(name))
        reason.count += 1
        reason.example = reason.example or str(entry.get("detail") or "")


def _merged(parts: Sequence[_Meetings]) -> _Meetings:
    """The meetings of all machines; one group's rollouts may have been judged on several."""
    merged: _Meetings = {}
    for part in parts:
        for place, meeting in part.items():
            other = merged.get(place)
            if other is not None and other.group == meeting.group:
                other.places += meeting.places
            else:
                merged[place] = meeting
    return merged


def _ids_repeat(meetings: _Meetings) -> bool:
    indexes: dict[int, int] = {}
    return any(indexes.setdefault(id, index) != index for (id, index), _ in meetings)


def _by_sample(meetings: _Meetings, by_index: bool) -> dict[str, list[Meeting]]:
    samples: dict[str, list[Meeting]] = defaultdict(list)
    for (row, _), meeting in meetings.items():
        samples[str(row[by_index])].append(meeting)
    for of_one in samples.values():
        of_one.sort(key=lambda meeting: meeting.step)
    return dict(samples)


def _quantiles(parts: Sequence[_Part]) -> dict[int, tuple[float, float]]:
    found = {}
    for step in sorted({step for part in parts for step in part.latencies_s}):
        ordered = sorted(value for part in parts for value in part.latencies_s.get(step, ()))
        found[step] = quantile(ordered, 0.5), quantile(ordered, 0.95)
    return found
