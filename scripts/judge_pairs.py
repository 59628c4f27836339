#!/usr/bin/env python3
"""Judges a file of pairs of texts, with the judge and the instructions of the training.

in:   {"id": 1, "prompt": "Write ...", "response_a": "...", "response_b": "...", "criteria": "..."}
out:  {"id": 1, "verdict": "A", "reason": null, ...}

The criteria may be left out. A verdict is A, B, C (a tie) or null (unscored, with the reason).

Started again, it goes on where it stopped.

examples:
  export JUDGE_MODEL=qwen-plus DASHSCOPE_API_KEY=...
  python scripts/judge_pairs.py --input pairs.jsonl --output verdicts.jsonl
  python scripts/judge_pairs.py --judge offline --input pairs.jsonl --output verdicts.jsonl --order both
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import os
import sys
from collections import Counter
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/judge_pairs.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--input", type=Path, required=True, help="the pairs, JSON lines")
    parser.add_argument("--output", type=Path, required=True, help="the verdicts, JSON lines")
    parser.add_argument(
        "--order",
        choices=("given", "both"),
        default="given",
        help="show response_a first, or ask in both orders, which must agree (default: %(default)s)",
    )
    parser.add_argument(
        "--judge", default=os.environ.get("JUDGE_MODEL"), help="model, or `offline` (default: JUDGE_MODEL)"
    )
    parser.add_argument(
        "--base_url",
        default=os.environ.get("OPENAI_BASE_URL"),
        help="OpenAI-compatible endpoint (default: OPENAI_BASE_URL, or by the model's name)",
    )
    parser.add_argument(
        "--parallel",
        type=int,
        default=int(os.environ.get("API_PARALLEL") or 64),
        help="requests in flight (default: API_PARALLEL, here %(default)s)",
    )
    parser.add_argument(
        "--retry_unscored", action="store_true", help="judge again what an earlier start left unscored"
    )
    arguments = parser.parse_args()
    if arguments.parallel < 1:
        parser.error(f"--parallel is {arguments.parallel}: it must be at least 1")
    if not arguments.judge:
        parser.error("no judge is set: set JUDGE_MODEL, or give --judge")

    from writing_rl.errors import UserError

    try:
        asyncio.run(judge_file(arguments))
    except UserError as error:
        sys.exit(f"Error: {error}")
    except OSError as error:
        sys.exit(f"Error: {error.filename or arguments.output}: {error.strerror}")


async def judge_file(arguments: argparse.Namespace) -> None:
    """Judges what is not judged yet, and says what came of all of it."""
    from tqdm import tqdm

    from writing_rl.judging.judge import LimitedJudge, load_templates, make_judge
    from writing_rl.judging.pairs import as_line, judge_all, judge_pair, judged_ids, read_pairs
    from writing_rl.judging.verdict import Strategy
    from writing_rl.settings import JudgeSettings

    pairs = read_pairs(arguments.input)
    settings = JudgeSettings(model=arguments.judge, base_url=arguments.base_url, parallel=arguments.parallel)
    judge = LimitedJudge(make_judge(settings, load_templates()), asyncio.Semaphore(arguments.parallel))
    done = judged_ids(arguments.output, pairs, retry_unscored=arguments.retry_unscored)
    left = [pair for pair in pairs if pair.id not in done]
    print(
        f"Judge: {judge.description}; {len(pairs)} pairs, {len(done)} of them judged before", file=sys.stderr
    )
    strategy = Strategy.BOTH if arguments.order == "both" else Strategy.ADVANTAGE
    compare = functools.partial(judge_pair, judge, strategy=strategy, ask_again=settings.ask_again)
    with open(arguments.output, "a", encoding="utf-8") as output, tqdm(total=len(left), unit="pair") as bar:
        async for pair, comparison in judge_all(left, compare, arguments.parallel):
            output.write(json.dumps(as_line(pair, comparison), ensure_ascii=False) + "\n")
            output.flush()
            bar.update()
    summarize(arguments.output)


def summarize(path: Path) -> None:
    """Prints what a file of verdicts holds."""
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    verdicts = Counter(entry["verdict"] or "unscored" for entry in entries)
    counts = ", ".join(f"{name} {verdicts[name]}" for name in ("A", "B", "C", "unscored"))
    reasons = Counter(entry["reason"] for entry in entries if entry["verdict"] is None)
    print(f"{path}: {counts}" + (f" ({dict(reasons)})" if reasons else ""))
    calls, read, written = (
        sum(entry[name] for entry in entries) for name in ("calls", "prompt_tokens", "completion_tokens")
    )
    print(f"{calls} calls, {read:,} tokens read and {written:,} written by the judge")


if __name__ == "__main__":
    main()
