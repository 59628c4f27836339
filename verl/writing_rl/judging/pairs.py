"""Judging a file of pairs: what `writing-rl judge pairs` does.

Input, one JSON object a line: `{"id", "prompt", "response_a", "response_b", "criteria"?}`.
Output, likewise: `{"id", "verdict": "A" | "B" | "C" | null, "reason": str | null, ...}`, always in terms of
`response_a` and `response_b`; null is unscored. `judged_with` tells verdicts of one judge, its settings and
its instructions from those of others, which a file never mixes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from writing_rl.errors import DataError
from writing_rl.judging.compare import NO_ANSWER, Comparison, judge_texts
from writing_rl.judging.judge import Judge, Templates
from writing_rl.judging.rules import Rules
from writing_rl.judging.settings import JudgeSettings
from writing_rl.judging.usage import Usage
from writing_rl.judging.verdict import Outcome, Verdict
from writing_rl.text.thinking import judged_text
from writing_rl.util.atomic_files import write_whole
from writing_rl.util.fields import shown
from writing_rl.util.jsonl import read_json_lines, whole_lines
from writing_rl.util.redact import redact

#: What the policy's outcome says of a pair whose `response_a` stands in for the policy.
VERDICTS = {Outcome.WIN: Verdict.A, Outcome.LOSS: Verdict.B, Outcome.TIE: Verdict.TIE, Outcome.UNSCORED: None}


@dataclass(frozen=True)
class Pair:
    """One line of the input."""

    id: str | int
    prompt: str
    response_a: str
    response_b: str
    criteria: str | None = None


def read_pairs(path: Path) -> list[Pair]:
    """Reads and checks a file of pairs.

    Raises:
        DataError: The file is missing or a line cannot be used; the message names it, counted from 1.
    """
    pairs: dict[str | int, Pair] = {}
    for number, entry in read_json_lines(path):
        place = f"{path}, line {number}"
        for name in ("id", "prompt", "response_a", "response_b"):
            if name not in entry:
                raise DataError(f"{place} lacks {name!r}")
            kinds = (str, int) if name == "id" else (str,)
            if not isinstance(entry[name], kinds) or isinstance(entry[name], bool):
                raise DataError(f"{place}: {name!r} is {shown(entry[name])}, it must be a text")
        if not isinstance(entry.get("criteria"), str | None):
            raise DataError(f"{place}: 'criteria' is {shown(entry['criteria'])}, it must be a text")
        pair = Pair(
            entry["id"], entry["prompt"], entry["response_a"], entry["response_b"], entry.get("criteria")
        )
        if pair.id in pairs:
            raise DataError(f"{place}: the id {shown(pair.id)} was there before")
        pairs[pair.id] = pair
    if not pairs:
        raise DataError(f"{path} holds no pairs: name a file with one JSON object a line")
    return list(pairs.values())


def judged_with(judges: JudgeSettings, templates: Templates) -> str:
    """A checksum of what makes verdicts what they are: judges, strategy, parameters and instructions."""
    made = {
        "judges": judges.models,
        "base_url": redact(judges.base_url or ""),
        "strategy": judges.strategy.value,
        "vote": judges.vote.value,
        "temperature": judges.temperature,
        **judges.requests_set,
        "instructions": templates.fingerprint,
    }
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:16]


def judged_ids(
    path: Path, pairs: Iterable[Pair], made: str, *, retry_unscored: bool = False
) -> set[str | int]:
    """The pairs that an earlier start has judged already; makes the file ready for more.

    Args:
        path: The output file; it may be missing. A last line that a kill has torn is removed.
        pairs: The input.
        made: What the new verdicts are made with; see `judged_with`.
        retry_unscored: Whether unscored pairs are removed, to be judged again.

    Raises:
        DataError: The file is the output of something else.
    """
    if not path.exists():
        return set()
    raw = path.read_bytes()
    known = {pair.id for pair in pairs}
    kept: list[bytes] = []
    done: set[str | int] = set()
    for number, line in enumerate(whole_lines(raw), start=1):
        try:
            entry = json.loads(line)
            id, verdict = entry["id"], entry["verdict"]
            is_known = id in known
        except (ValueError, KeyError, TypeError, RecursionError):
            raise DataError(f"{path}, line {number} is no verdict: name another --output") from None
        if not is_known:
            raise DataError(f"{path}, line {number}: no pair has the id {shown(id)}: name another --output")
        if verdict is None and retry_unscored:
            continue
        if entry.get("judged_with") != made:
            raise DataError(
                f"{path}, line {number} was judged by another judge, or with other instructions or settings: "
                "name another --output"
            )
        kept.append(line)
        done.add(id)
    if (content := b"".join(kept)) != raw:
        write_whole(path, content)
    return done


async def judge_pair(judges: Sequence[Judge], pair: Pair, rules: Rules) -> Comparison:
    """Compares one pair. The thinking part of each response is removed, and an empty response loses."""
    first, second = judged_text(pair.response_a), judged_text(pair.response_b)
    if first and second:
        return await judge_texts(judges, rules, pair.prompt, first, second, pair.criteria)
    outcome = Outcome.WIN if first else Outcome.LOSS if second else Outcome.TIE
    return Comparison(outcome, reason=NO_ANSWER)


def as_line(pair: Pair, comparison: Comparison, made: str) -> dict[str, Any]:
    """The output's entry of a pair; `made` is what `judged_with` says."""
    verdict, usage = VERDICTS[comparison.outcome], Usage.of(comparison)
    return {
        "id": pair.id,
        "verdict": verdict.value if verdict else None,
        "reason": comparison.reason or None,
        "detail": comparison.detail or None,
        "flipped": comparison.flipped,
        "calls": len(comparison.calls),
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cost_usd": usage.known_cost_usd,
        "latency_s": round(sum(usage.latencies_s), 3),
        "judged_with": made,
    }
