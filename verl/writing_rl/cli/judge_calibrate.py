"""Measure how far a judge agrees with people, before one trains with it.

in:   {"prompt": "Write ...", "response_a": "...", "response_b": "...", "label": "A"}
out:  agreement, bias and cost as tables, and for each REWARD_STRATEGY whether the judge is good enough

A label is A, B or C (about the same). "labels": ["A", "B", "A"] are those of several people: the most
frequent one counts, and C where none leads. "criteria" and "id" may be given. PandaLM's human test set is
read as it is. Pairs with an empty text are left out: they are decided without a judge.

Each pair is judged in both orders, with the judge and the instructions of the training. Verdicts go to
--output; started again, it goes on where it stopped. --verdicts analyses such a file and asks nobody.
--report and --plot are made anew each time and replace what is there. Exit code: 0, or 1 on errors and where
no pair has a verdict.

examples:
  export JUDGE_MODEL=qwen-plus DASHSCOPE_API_KEY=...
  writing-rl judge calibrate labelled.jsonl --output verdicts.jsonl --sample 200
  writing-rl judge calibrate labelled.jsonl --verdicts verdicts.jsonl --plot judge.png
  writing-rl judge calibrate --judge offline labelled.jsonl --output verdicts.jsonl
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from writing_rl.cli import UsageError

if TYPE_CHECKING:
    from writing_rl.judging.pairs import Pair


INTERRUPTED = "What was judged is kept."


def run(arguments: argparse.Namespace) -> None:
    """Judges what is not judged yet, and reports how that agrees with people."""
    # What would fail at the end fails before a judge is paid for.
    derived = [path for path in (arguments.report, arguments.plot) if path]
    files = [path for path in (arguments.input, arguments.output, arguments.verdicts, *derived) if path]
    if len({path.resolve() for path in files}) < len(files):
        raise UsageError("two of the files are the same: give each its own name")
    for path in derived:
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder {path.parent} for {path.name}: make it")
    _calibrate(arguments)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    from writing_rl.calibration.requirements import Requirements
    from writing_rl.cli.judge_options import add_judge_options, positive, share

    add = parser.add_argument
    add("input", type=Path, help="the labelled pairs, JSON lines")
    verdicts = parser.add_mutually_exclusive_group(required=True)
    verdicts.add_argument("--output", type=Path, help="judge; the verdicts, JSON lines")
    verdicts.add_argument("--verdicts", type=Path, help="ask nobody; what an earlier --output was")
    add("--sample", type=positive, metavar="N", help="a random part of the pairs; a larger one adds to it")
    add("--seed", type=int, default=0, help="of the random part and the intervals (default: %(default)s)")
    add("--report", type=Path, help="write the tables as Markdown")
    add("--plot", type=Path, help="draw the figures as PNG")
    add_judge_options(parser)
    asked = parser.add_argument_group("asked of a judge that is good enough to train with")
    for name, help in (
        ("least_accuracy", "accuracy without ties"),
        ("most_bias", "position bias, for the strategies with one order"),
        ("most_flips", "flip rate, for position-both"),
        ("most_unscored", "share without a verdict"),
        ("least_prompts", "different prompts that a figure is measured on"),
    ):
        field = name.split("_")[1]
        default = getattr(Requirements, field)
        kind = share if isinstance(default, float) else positive
        help = f"{help} (default: {default})"
        asked.add_argument(f"--{name.replace('_', '-')}", dest=field, type=kind, default=default, help=help)


def _calibrate(arguments: argparse.Namespace) -> None:
    from writing_rl.calibration.labelled import read_labelled, sample
    from writing_rl.calibration.order_verdicts import read_order_verdicts
    from writing_rl.calibration.report import calibrate_on
    from writing_rl.calibration.requirements import Requirements
    from writing_rl.errors import JudgeError
    from writing_rl.util.console import say

    labelled = read_labelled(arguments.input)
    usable = [one for one in labelled if one.needs_judge]
    chosen = sample(usable, arguments.sample or len(usable), arguments.seed)
    known = [one.pair for one in labelled]
    if arguments.output:
        asyncio.run(_judge(arguments, [one.pair for one in chosen], known))
    verdicts = read_order_verdicts(arguments.output or arguments.verdicts, known)
    asked = Requirements(**{field.name: getattr(arguments, field.name) for field in fields(Requirements)})
    empty = len(labelled) - len(usable)
    found = calibrate_on(arguments.input.name, chosen, verdicts, asked, empty=empty, seed=arguments.seed)
    say(found.plain())
    if arguments.report:
        arguments.report.write_text(found.markdown(), encoding="utf-8")
    if arguments.plot:
        from writing_rl.calibration.plot import draw

        draw(arguments.plot, found.title, found.figures, asked)
    judged = [verdicts[one.pair.id] for one in chosen if one.pair.id in verdicts]
    if judged and all(one.given is None and one.swapped is None for one in judged):
        raise JudgeError("no pair got a verdict, in neither order: see the reasons in the file of verdicts")


async def _judge(arguments: argparse.Namespace, pairs: list[Pair], known: list[Pair]) -> None:
    """Judges the pairs that have no verdict yet; the output may hold those of all that are known."""
    from tqdm import tqdm

    from writing_rl.calibration.order_verdicts import judge_orders, read_order_verdicts
    from writing_rl.cli.judge_options import judge_settings
    from writing_rl.judging.call_forecast import announce, of_pairs
    from writing_rl.judging.factory import close_all, describe, make_channel, make_judges
    from writing_rl.judging.judge import load_templates
    from writing_rl.judging.pairs import judged_ids, judged_with
    from writing_rl.judging.verdict import Strategy
    from writing_rl.util.console import say

    settings = replace(judge_settings(arguments), strategy=Strategy.BOTH)
    templates = load_templates()
    judges = make_judges(settings, templates, make_channel(settings))
    path = arguments.output
    if path.exists():
        read_order_verdicts(path, known, ",".join(settings.models))  # refuses what is something else
    made = judged_with(settings, templates)
    done = judged_ids(path, known, made, retry_unscored=arguments.retry_unscored)
    left = [pair for pair in pairs if pair.id not in done]
    before = len(pairs) - len(left)
    say(f"Judge: {describe(judges)}; {len(pairs)} pairs, {before} judged before", file=sys.stderr)
    announce([of_pairs(left, settings, templates, orders=2)], settings.limits)
    cost = 0.0
    try:
        with tqdm(disable=None, total=len(left), unit="pair") as bar:
            async for entry in judge_orders(judges, settings.rules, left, path, arguments.parallel, made):
                cost += entry["cost_usd"] or 0.0
                bar.set_postfix_str(f"{cost:.4f} USD", refresh=False)
                bar.update()
    finally:
        await close_all(judges)
