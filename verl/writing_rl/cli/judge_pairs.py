"""Judge a file of pairs of texts, with the judge and the instructions of the training.

in:   {"id": 1, "prompt": "Write ...", "response_a": "...", "response_b": "...", "criteria": "..."}
out:  {"id": 1, "verdict": "A", "reason": null, ...}

The criteria may be left out. A verdict is A, B, C (a tie) or null (unscored, with the reason).

Started again, it goes on where it stopped. Exit code: 0, or 1 on errors and where no pair has a verdict.

examples:
  export JUDGE_MODEL=qwen-plus DASHSCOPE_API_KEY=...
  writing-rl judge pairs pairs.jsonl --output verdicts.jsonl
  writing-rl judge pairs --judge offline pairs.jsonl --output verdicts.jsonl --order both
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

INTERRUPTED = "What was judged is kept; the same command goes on."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    from writing_rl.cli.judge_options import add_judge_options

    parser.add_argument("input", type=Path, help="the pairs, JSON lines")
    parser.add_argument("--output", type=Path, required=True, help="the verdicts, JSON lines")
    parser.add_argument(
        "--order",
        choices=("given", "both"),
        default="given",
        help="show response_a first, or ask in both orders, which must agree (default: %(default)s)",
    )
    add_judge_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Judges what is not judged yet, and says what came of all of it."""
    asyncio.run(_judge_file(arguments))


async def _judge_file(arguments: argparse.Namespace) -> None:
    from tqdm import tqdm

    from writing_rl.cli.judge_options import judge_settings
    from writing_rl.judging.call_forecast import announce, of_pairs
    from writing_rl.judging.factory import close_all, describe, make_channel, make_judges
    from writing_rl.judging.judge import load_templates
    from writing_rl.judging.pairs import as_line, judge_pair, judged_ids, judged_with, read_pairs
    from writing_rl.judging.verdict import Strategy
    from writing_rl.util.as_completed import as_answered
    from writing_rl.util.console import say
    from writing_rl.util.jsonl import append

    pairs = read_pairs(arguments.input)
    strategy = Strategy.BOTH if arguments.order == "both" else Strategy.ADVANTAGE
    settings = replace(judge_settings(arguments), strategy=strategy)
    templates = load_templates()
    judges = make_judges(settings, templates, make_channel(settings))
    made = judged_with(settings, templates)
    done = judged_ids(arguments.output, pairs, made, retry_unscored=arguments.retry_unscored)
    left = [pair for pair in pairs if pair.id not in done]
    say(f"Judge: {describe(judges)}; {len(pairs)} pairs, {len(done)} judged before", file=sys.stderr)
    announce([of_pairs(left, settings, templates, len(strategy.policy_slots))], settings.limits)
    compare = functools.partial(judge_pair, judges, rules=settings.rules)
    cost = 0.0
    try:
        with tqdm(disable=None, total=len(left), unit="pair") as bar:
            async for pair, comparison in as_answered(left, compare, arguments.parallel):
                line = as_line(pair, comparison, made)
                append(arguments.output, [line])
                cost += line["cost_usd"] or 0.0
                bar.set_postfix_str(f"{cost:.4f} USD", refresh=False)
                bar.update()
    finally:
        await close_all(judges)
    _summarize(arguments.output)


def _summarize(path: Path) -> None:
    """Prints what a file of verdicts holds.

    Raises:
        JudgeError: There is no verdict in it.
    """
    from writing_rl.errors import JudgeError
    from writing_rl.util.console import say

    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    verdicts = Counter(entry["verdict"] or "unscored" for entry in entries)
    counts = ", ".join(f"{name} {verdicts[name]}" for name in ("A", "B", "C", "unscored"))
    reasons = Counter(entry["reason"] for entry in entries if entry["verdict"] is None)
    say(f"{path}: {counts}" + (f" ({dict(reasons)})" if reasons else ""))
    calls, read, written = (
        sum(entry[name] for entry in entries) for name in ("calls", "prompt_tokens", "completion_tokens")
    )
    costs = [entry.get("cost_usd") for entry in entries]
    cost = "of unknown price" if None in costs else f"{sum(costs):.4f} USD"
    say(f"{calls} calls, {read:,} tokens read and {written:,} written by the judge, {cost}")
    if entries and verdicts["unscored"] == len(entries):
        last = entries[-1]
        detail = f": {last['detail']}" if last.get("detail") else ""
        raise JudgeError(
            f"no pair got a verdict; the last: {last['reason']}{detail} (--retry-unscored judges them again)"
        )
