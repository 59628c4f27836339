"""Verdicts of each order on its own: what `writing-rl judge calibrate` writes and goes on from.

One JSON object a line: that of `pairs.as_line`, whose `verdict` is that of both orders together, and

    given    the verdict where response_a was shown first, null where it is unscored
    swapped  the verdict where response_b was shown first, likewise
    judge    the judge's model name; several with commas
    texts    a checksum of the pair, since its id may be no more than a line's number

All verdicts are in terms of `response_a` and `response_b`, wherever these stood.
"""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from writing_rl.errors import DataError
from writing_rl.judging.compare import Comparison
from writing_rl.judging.judge import Judge
from writing_rl.judging.pairs import VERDICTS, Pair, as_line, judge_pair
from writing_rl.judging.rules import Rules
from writing_rl.judging.verdict import Outcome, Strategy, Verdict, outcome_of
from writing_rl.judging.vote import VoteRule, decide
from writing_rl.util.as_completed import as_answered
from writing_rl.util.jsonl import append, whole_lines


@dataclass(frozen=True)
class OrderVerdicts:
    """What a judge says of one pair in both orders, and what that took.

    Attributes:
        judge: The judge's model name.
        given: The verdict with `response_a` first, or None.
        swapped: The verdict with `response_b` first, or None.
        both: The verdict of both orders together, or None.
        calls: Answered requests.
        prompt_tokens: Tokens that the judge read.
        completion_tokens: Tokens that it wrote.
        latency_s: Seconds of all its answers.
        cost_usd: What they cost, or None where that is not known.
    """

    judge: str
    given: Verdict | None
    swapped: Verdict | None
    both: Verdict | None
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_s: float = 0.0
    cost_usd: float | None = None


def order_verdict(comparison: Comparison, first: Verdict, vote: VoteRule) -> Verdict | None:
    """The verdict of one order of a comparison in both.

    Args:
        comparison: The comparison.
        first: Which response stood first, `Verdict.A` or `Verdict.B`.
        vote: What several judges decide together.
    """
    # `response_a` stands in for the policy, so it was shown first where the policy's slot is the first. Of
    # the calls of a judge the last counts: those before it had no verdict, and it was asked again.
    last = {call.judge: call.verdict for call in comparison.calls if call.policy_slot is first}
    outcomes = [outcome_of(verdict, first) if verdict else Outcome.UNSCORED for verdict in last.values()]
    outcomes += [Outcome.UNSCORED] * (len(comparison.votes) - len(last))  # judges that never answered
    return VERDICTS[decide(outcomes, vote)]


async def judge_orders(
    judges: Sequence[Judge], rules: Rules, pairs: Iterable[Pair], path: Path, parallel: int, made: str
) -> AsyncIterator[dict[str, Any]]:
    """Judges pairs in both orders, appends each to a file as it is done, and yields its entry.

    Args:
        judges: Who judges.
        rules: How, whatever their strategy is.
        pairs: What is judged.
        path: The file.
        parallel: How many pairs are judged at a time.
        made: What makes the verdicts what they are; see `pairs.judged_with`.
    """
    compare = functools.partial(judge_pair, judges, rules=replace(rules, strategy=Strategy.BOTH))
    judge = ",".join(judge.name for judge in judges)
    async for pair, comparison in as_answered(pairs, compare, parallel):
        entry = as_order_line(pair, comparison, judge, rules.vote, made)
        append(path, [entry])
        yield entry


def as_order_line(
    pair: Pair, comparison: Comparison, judge: str, vote: VoteRule, made: str
) -> dict[str, Any]:
    """The output's entry of a pair that was judged in both orders."""
    given, swapped = (order_verdict(comparison, first, vote) for first in (Verdict.A, Verdict.B))
    return {
        **as_line(pair, comparison, made),
        "given": given.value if given else None,
        "swapped": swapped.value if swapped else None,
        "judge": judge,
        "texts": checksum(pair),
    }


def checksum(pair: Pair) -> str:
    """Tells other texts under the same id."""
    texts = [pair.prompt, pair.response_a, pair.response_b, pair.criteria]
    return f"{zlib.crc32(json.dumps(texts).encode()):08x}"


def read_order_verdicts(
    path: Path, pairs: Iterable[Pair], judge: str | None = None
) -> dict[str | int, OrderVerdicts]:
    """Reads what was judged, by the ids of the pairs.

    Args:
        path: The file. A last line that a kill has torn is left out.
        pairs: The input that was judged.
        judge: Who must have judged; None for whoever did, one and the same.

    Raises:
        DataError: The file is missing, or holds something else than verdicts of this judge on these pairs.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    known = {pair.id: pair for pair in pairs}
    found: dict[str | int, OrderVerdicts] = {}
    for number, line in enumerate(whole_lines(raw), start=1):
        place = f"{path}, line {number}"
        try:
            entry = json.loads(line)
            id, texts, verdicts = entry["id"], entry["texts"], _verdicts(entry)
            pair = known.get(id)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise DataError(f"{place} is no verdict of both orders: name another file") from None
        if pair is None:
            raise DataError(f"{place}: no pair has the id {id!r:.80}: name another file")
        if texts != checksum(pair):
            raise DataError(f"{place}: the pair {id!r} had other texts when it was judged: name another file")
        judge = judge or verdicts.judge
        if verdicts.judge != judge:
            raise DataError(
                f"{place} is by the judge {verdicts.judge!r}, not by {judge!r}: name another file"
            )
        found[id] = verdicts
    return found


def _verdicts(entry: dict[str, Any]) -> OrderVerdicts:
    given, swapped, both = (
        None if entry[name] is None else Verdict(entry[name]) for name in ("given", "swapped", "verdict")
    )
    cost = entry.get("cost_usd")
    return OrderVerdicts(
        judge=str(entry["judge"]),
        given=given,
        swapped=swapped,
        both=both,
        calls=int(entry["calls"]),
        prompt_tokens=int(entry["prompt_tokens"]),
        completion_tokens=int(entry["completion_tokens"]),
        latency_s=float(entry["latency_s"]),
        cost_usd=None if cost is None else float(cost),
    )
