"""The samples that improved most, and those that are stuck, with what was written and said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from writing_rl.errors import DataError
from writing_rl.judging.verdict import Outcome
from writing_rl.report.run_data import Meeting, Place, Run
from writing_rl.report.training_set import read_prompts
from writing_rl.report.transcripts import read_entry
from writing_rl.util.redact import clean, redact

#: Meetings with its present reference that a sample needs to be called stuck.
LEAST_MEETINGS = 2
#: Meetings that are drawn of a sample.
MOST_DRAWN = 40


@dataclass(frozen=True)
class Answer:
    """What a judge said.

    Attributes:
        judge: Its name.
        order: Whose text stood first.
        verdict: A, B, C or none.
        text: Its words, as far as the transcript keeps them.
    """

    judge: str
    order: str
    verdict: str
    text: str


@dataclass(frozen=True)
class Shown:
    """One comparison with its texts.

    Attributes:
        step: The step.
        reference: The index of the reference.
        outcome: The policy's outcome.
        reason: Why it is unscored, or why no judge was asked.
        response: The policy's text; empty where the transcript keeps no texts.
        text: The reference.
        answers: What was said.
        cut: Whether a text is as long as the transcript keeps them, and so was probably longer.
    """

    step: int
    reference: int
    outcome: Outcome
    reason: str
    response: str
    text: str
    answers: Sequence[Answer]
    cut: bool


@dataclass(frozen=True)
class Story:
    """What became of a sample.

    Attributes:
        key: The sample.
        start: The index of its reference where the run began.
        end: The index now.
        references: How many references it has, where that is known.
        meetings: Its meetings, the last ones where there are many.
        met: How many meetings there were.
        since: Meetings with its present reference.
        outcomes: Rollouts by outcome.
        prompt: The writing task; empty where it is not known.
        first: Its first comparison, if there is more than one.
        last: The comparison that shows best where it stands.
    """

    key: str
    start: int
    end: int
    references: int | None
    meetings: Sequence[Meeting]
    met: int
    since: int
    outcomes: Mapping[Outcome, int]
    prompt: str = ""
    first: Shown | None = None
    last: Shown | None = None


def most_improved(run: Run, count: int) -> list[Story]:
    """The samples that climbed most; of those that climbed alike, the one that took fewer meetings."""
    climbed = [(_end(run, key) - _start(run, key), key) for key in _keys(run)]

    def rank(one: tuple[int, str]) -> tuple[int, int, tuple[int, str]]:
        climb, key = one
        return -climb, len(run.judged.training.get(key, ())), _natural(key)

    best = sorted((one for one in climbed if one[0] > 0), key=rank)[:count]
    return _stories(run, [key for _, key in best], _best_win)


def stuck(run: Run, count: int) -> list[Story]:
    """The samples that met their present reference most often and do not beat it."""
    found = []
    for key, meetings in run.judged.training.items():
        present = _present(run, key)
        shares = [share for meeting in present if (share := meeting.win_share) is not None]
        if len(shares) >= LEAST_MEETINGS and sum(shares) / len(shares) < 0.5 and meetings[-1] in present:
            found.append((-len(shares), sum(shares) / len(shares), _natural(key), key))
    return _stories(run, [key for *_, key in sorted(found)[:count]], _last_loss)


def _keys(run: Run) -> Sequence[str]:
    if run.positions is not None:
        return list(run.positions.changes)
    return list(run.judged.training)


def _start(run: Run, key: str) -> int:
    if run.positions is not None:
        return run.positions.start.get(key, 0)
    return run.judged.training[key][0].reference


def _end(run: Run, key: str) -> int:
    if run.positions is not None and (key in run.positions.changes or key in run.positions.start):
        return run.positions.end(key)
    return run.judged.training[key][-1].reference


def _present(run: Run, key: str) -> list[Meeting]:
    """The meetings with the sample's present reference, since it came there last."""
    present: list[Meeting] = []
    for meeting in reversed(run.judged.training.get(key, ())):
        if meeting.reference != _end(run, key):
            break
        present.insert(0, meeting)
    return present


def _natural(key: str) -> tuple[int, str]:
    return len(key), key


def _stories(run: Run, keys: Sequence[str], choose: Callable[[Sequence[Meeting]], _Choice]) -> list[Story]:
    prompts = _prompts(run, keys)
    stories = []
    for key in keys:
        meetings = run.judged.training.get(key, ())
        chosen = choose(meetings)
        first = _first(meetings)
        outcomes: Counter[Outcome] = sum((meeting.outcomes for meeting in meetings), Counter())
        stories.append(
            Story(
                key,
                _start(run, key),
                _end(run, key),
                run.references.get(key),
                meetings[-MOST_DRAWN:],
                len(meetings),
                len(_present(run, key)),
                outcomes,
                clean(prompts.get(key, "")),
                _show(run, *first) if first and chosen and first[0] is not chosen[0] else None,
                _show(run, *chosen) if chosen else None,
            )
        )
    return stories


_Choice = tuple[Meeting, Place] | None


def _first(meetings: Sequence[Meeting]) -> _Choice:
    return (meetings[0], meetings[0].places[0]) if meetings else None


def _best_win(meetings: Sequence[Meeting]) -> _Choice:
    """A win in the last meeting that has one; else the last comparison."""
    return _latest(meetings, Outcome.WIN)


def _last_loss(meetings: Sequence[Meeting]) -> _Choice:
    """A loss in the last meeting that has one; else the last comparison."""
    return _latest(meetings, Outcome.LOSS)


def _latest(meetings: Sequence[Meeting], outcome: Outcome) -> _Choice:
    for meeting in reversed(meetings):
        for place in meeting.places:
            if place.outcome is outcome:
                return meeting, place
    return (meetings[-1], meetings[-1].places[-1]) if meetings else None


def _prompts(run: Run, keys: Sequence[str]) -> Mapping[str, str]:
    path = run.log.settings.get("data.train_files")
    if run.by_index is None or not isinstance(path, str):
        return {}
    try:
        return read_prompts(Path(path), set(keys), run.by_index)
    except DataError:
        return {}  # it was there a moment ago


def _show(run: Run, meeting: Meeting, place: Place) -> Shown | None:
    """Reads a comparison's texts; None where the transcript is gone."""
    entry = read_entry(run.judged, place)
    if not entry:
        return None
    kept = run.log.settings.get("writing_rl.judge.transcript_characters", 2000)
    texts = [_text(entry, "response"), _text(entry, "reference")]
    answers = [_answer(call) for call in entry.get("calls") or () if isinstance(call, dict)]
    return Shown(
        meeting.step,
        meeting.reference,
        place.outcome,
        clean(redact(_text(entry, "reason"))),
        clean(texts[0]),
        clean(texts[1]),
        answers,
        any(len(text) >= kept for text in texts),
    )


def _answer(call: Mapping[str, Any]) -> Answer:
    judge, order, verdict = (clean(_text(call, name)) for name in ("judge", "order", "verdict"))
    return Answer(judge, order, verdict or "none", clean(_text(call, "text")))


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""
