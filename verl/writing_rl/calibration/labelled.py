"""Pairs of texts that people have compared: what `writing-rl judge calibrate` reads.

One JSON object a line, in one of the forms of `FORMS`; which one is told by the key that holds the labels:

    {"id"?, "prompt", "response_a", "response_b", "criteria"?, "label": "A" | "B" | "C"}
    {"id"?, "prompt", "response_a", "response_b", "criteria"?, "labels": ["A", "B", "A"]}
    {"instruction", "input", "response1", "response2", "annotators": [0 | 1 | 2, ...]}

C, and 0, is "about the same". `labels` and `annotators` are those of several people; the last form is that of
PandaLM's human test set. Without an id the line's number is the id.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from writing_rl.errors import DataError
from writing_rl.judging.pairs import Pair
from writing_rl.judging.verdict import Verdict
from writing_rl.text.thinking import judged_text
from writing_rl.util.fields import shown
from writing_rl.util.jsonl import read_json_lines


@dataclass(frozen=True)
class Form:
    """How the lines of a data set are written.

    Attributes:
        response_a: The key of the first text.
        response_b: The key of the second.
        prompt: The keys of the prompt's parts; parts that are empty are left out.
        votes: What each value of a label means.
        loose: Whether a text may be no text in JSON. PandaLM's holds answers such as `true`, which the
            people who labelled it saw as a word.
    """

    response_a: str
    response_b: str
    prompt: tuple[str, ...]
    votes: Mapping[Any, Verdict]
    loose: bool = False


_OURS = Form("response_a", "response_b", ("prompt",), {verdict.value: verdict for verdict in Verdict})
_PANDALM = Form(
    "response1",
    "response2",
    ("instruction", "input"),
    {0: Verdict.TIE, 1: Verdict.A, 2: Verdict.B},
    loose=True,
)
#: The forms by the key that holds the labels. `label` stands before `labels`: where a line has both, the
#: votes are those of `labels`, and what was agreed on is in `label`.
FORMS: dict[str, Form] = {"label": _OURS, "labels": _OURS, "annotators": _PANDALM}


@dataclass(frozen=True)
class LabelledPair:
    """A pair and what people say of it.

    Attributes:
        pair: The pair.
        votes: What each of them prefers.
        label: What counts.
    """

    pair: Pair
    votes: tuple[Verdict, ...]
    label: Verdict

    @property
    def lengths(self) -> tuple[int, int]:
        """Characters of the two texts as the judge sees them."""
        return len(judged_text(self.pair.response_a)), len(judged_text(self.pair.response_b))

    @property
    def needs_judge(self) -> bool:
        """Whether a judge is asked at all: an empty text loses without."""
        return all(self.lengths)


def majority(votes: Sequence[Verdict]) -> Verdict:
    """What most people prefer; "about the same" where no preference leads."""
    leaders = _leaders(Counter(votes))
    return leaders[0] if len(leaders) == 1 else Verdict.TIE


def agreement_with_others(votes: Sequence[Verdict]) -> Iterator[tuple[Verdict, dict[Verdict, float]]]:
    """For each person, the vote and the majority of the others, as shares that add up to 1.

    The majority of an even number of people is often open. It is then each of its leaders in equal shares,
    as if one were drawn: calling it "about the same" would count people as disagreeing with each other
    although half of them agree. With two or three people this is the agreement of a pair of people.
    """
    for vote in votes:
        others = Counter(votes)
        others[vote] -= 1
        leaders = _leaders(others)
        yield vote, {leader: 1 / len(leaders) for leader in leaders}


def read_labelled(path: Path) -> list[LabelledPair]:
    """Reads and checks a file of labelled pairs.

    Raises:
        DataError: The file is missing or a line cannot be used; the message names it, counted from 1.
    """
    found: dict[str | int, LabelledPair] = {}
    for number, entry in read_json_lines(path):
        place = f"{path}, line {number}"
        labelled = _labelled(place, number, entry)
        if labelled.pair.id in found:
            raise DataError(
                f"{place}: the id {shown(labelled.pair.id)} was there before: give each pair its own"
            )
        found[labelled.pair.id] = labelled
    if not found:
        raise DataError(f"{path} holds no pairs: name a file with one JSON object a line")
    return list(found.values())


def sample(labelled: Sequence[LabelledPair], number: int, seed: int) -> list[LabelledPair]:
    """A random part; a larger one of the same seed holds the smaller one, so that what is judged stays."""
    shuffled = list(labelled)
    random.Random(seed).shuffle(shuffled)
    return shuffled[:number]


def _leaders(counts: Counter[Verdict]) -> list[Verdict]:
    most = max(counts.values())
    return [verdict for verdict in Verdict if counts[verdict] == most]


def _labelled(place: str, number: int, entry: Mapping[str, Any]) -> LabelledPair:
    key = next((key for key in FORMS if key in entry), None)
    if key is None:
        raise DataError(f'{place} has no label: give it "label" (A, B or C, about the same) or "labels"')
    form = FORMS[key]
    id, criteria = entry.get("id", number), entry.get("criteria")
    if not isinstance(id, str | int) or isinstance(id, bool):
        raise DataError(f"{place}: 'id' is {shown(id)}, it must be a text or a whole number")
    if not isinstance(criteria, str | None):
        raise DataError(f"{place}: 'criteria' is {shown(criteria)}, it must be a text")
    parts = [_text(place, entry, name, form) for name in form.prompt]
    pair = Pair(
        id=id,
        prompt="\n\n".join(part for part in parts if part.strip()),
        response_a=_text(place, entry, form.response_a, form),
        response_b=_text(place, entry, form.response_b, form),
        criteria=criteria,
    )
    label = _vote(f"{place}: 'label'", form, entry["label"]) if key == "label" else None
    votes: tuple[Verdict, ...] = () if label is None else (label,)
    if (several := "labels" if form is _OURS else key) in entry:
        votes = _votes(f"{place}: {several!r}", form, entry[several])
    return LabelledPair(pair, votes, label or majority(votes))


def _text(place: str, entry: Mapping[str, Any], name: str, form: Form) -> str:
    if name not in entry:
        raise DataError(f"{place} lacks {name!r}: add it")
    value = entry[name]
    if form.loose and isinstance(value, bool | int | float):
        return str(value)
    if not isinstance(value, str):
        raise DataError(f"{place}: {name!r} is {shown(value)}, it must be a text")
    return value


def _votes(place: str, form: Form, values: Any) -> tuple[Verdict, ...]:
    if not isinstance(values, list) or not values:
        raise DataError(f"{place} is {shown(values)}, it must be a list with a label of each person")
    return tuple(_vote(place, form, value) for value in values)


def _vote(place: str, form: Form, value: Any) -> Verdict:
    # Values of any kind may stand there, lists and `true` included, which equals 1.
    if isinstance(value, str | int) and not isinstance(value, bool) and value in form.votes:
        return form.votes[value]
    raise DataError(f"{place} holds {shown(value)}, it must be one of {', '.join(map(str, form.votes))}")
