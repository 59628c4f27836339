"""Make a training set from prompts with responses: train.parquet and test.parquet.

in, one prompt a line; only prompt, responses and their text must be there:
  {"prompt": "Write ...", "responses": [{"model": "gpt-4.1", "text": "...", "score": 7.5}, ...],
   "criteria": "...", "source": "...", "system": "..."}

The responses become the references of the prompt, in the order of their scores: those that are given, grades
by a judge (--scores grade), or the ranks of their models (--model-order). Lines with the same prompt, up to
white space and case, are joined. Thinking parts (<think>...</think>) are taken out of the responses.

What a judge answers is kept beside the set (grades.jsonl, confirmations.jsonl): started again, also with
other rules, the script asks only for what is missing.

examples:
  writing-rl data prepare prompts.jsonl
  writing-rl data prepare data/responses.jsonl --scores grade --judge qwen-plus --confirm-order
  writing-rl data prepare weak.jsonl strong.jsonl --model-order alpaca-7b,gpt-4.1 --test-count 200
  writing-rl data prepare prompts.jsonl --max-references 5 --tie-margin 0.5 --output data --force
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from writing_rl.data.preparation.confirmation import Confirmation


INTERRUPTED = "What was graded is kept; the same command goes on."


def run(arguments: argparse.Namespace) -> None:
    """Makes the set, and says what came of the prompts."""
    from writing_rl.cli.grade_options import grading
    from writing_rl.data.preparation.prepare import Preparation, prepare
    from writing_rl.data.preparation.references import ReferenceRules
    from writing_rl.data.preparation.split import SplitRule
    from writing_rl.util.console import say

    order = arguments.model_order
    preparation = Preparation(
        inputs=arguments.input,
        out=arguments.output,
        model_order=None if order is None else [name.strip() for name in order.split(",")],
        grading=grading(arguments) if arguments.scores == "grade" else None,
        confirmation=_confirmation(arguments) if arguments.confirm_order else None,
        rules=ReferenceRules(
            arguments.near_duplicate,
            arguments.tie_margin,
            arguments.min_references,
            arguments.max_references,
        ),
        split=SplitRule(arguments.seed, arguments.test_share, arguments.test_count),
        system=arguments.system,
        keep_truncated=arguments.keep_truncated,
        force=arguments.force,
    )
    say(prepare(preparation))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    from writing_rl.cli.grade_options import add_grade_options
    from writing_rl.cli.judge_options import add_judge_options
    from writing_rl.data.preparation.references import ReferenceRules
    from writing_rl.data.preparation.split import SplitRule
    from writing_rl.dataset.system_message import SYSTEM

    parser.add_argument("input", type=Path, nargs="+", help="files of prompts, JSON lines")
    parser.add_argument(
        "--output", type=Path, default=Path("data"), help="folder of the training set (default: %(default)s)"
    )
    parser.add_argument(
        "--keep-truncated",
        action="store_true",
        help="let responses become references that were cut off at a limit of tokens",
    )
    parser.add_argument("--force", action="store_true", help="overwrite an existing training set")
    parser.add_argument(
        "--system",
        default=SYSTEM,
        metavar="TEXT",
        help="system message of prompts without their own; '' for none (default: %(default)s)",
    )
    scores = parser.add_mutually_exclusive_group()
    scores.add_argument(
        "--scores",
        choices=("given", "grade"),
        default="given",
        help="every response has a score (default), or a judge grades them, whatever scores they have",
    )
    scores.add_argument(
        "--model-order",
        metavar="WEAK,...,STRONG",
        help="instead: the rank of a response's model in this list is its score",
    )
    parser.add_argument(
        "--near-duplicate",
        type=float,
        default=ReferenceRules.near_duplicate,
        metavar="SIMILARITY",
        help="drop a response that has this share of its character 5-grams in common with a better one "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--tie-margin",
        type=float,
        default=ReferenceRules.tie_margin,
        metavar="DISTANCE",
        help="drop a response whose score is not further below the next better one (default: %(default)s)",
    )
    parser.add_argument(
        "--max-references",
        type=int,
        metavar="N",
        help="keep N references, evenly from the worst to the best (default: all)",
    )
    parser.add_argument(
        "--min-references",
        type=int,
        default=ReferenceRules.min_references,
        metavar="N",
        help="leave out prompts with fewer references (default: %(default)s)",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--test-share",
        type=float,
        default=SplitRule.test_share,
        metavar="SHARE",
        help="share of the prompts for testing; prompts added later move no other (default: %(default)s)",
    )
    size.add_argument("--test-count", type=int, metavar="N", help="instead: number of prompts for testing")
    parser.add_argument(
        "--seed",
        type=int,
        default=SplitRule.seed,
        help="another one gives another split (default: %(default)s)",
    )
    judging = parser.add_argument_group("asking a judge, for --scores grade and --confirm-order")
    add_grade_options(judging)
    judging.add_argument(
        "--confirm-order",
        action="store_true",
        help="compare neighbours in both orders, and drop a reference that a better-graded one does not beat",
    )
    add_judge_options(judging)


def _confirmation(arguments: argparse.Namespace) -> Confirmation:
    """How the order of references is confirmed."""
    from writing_rl.cli.judge_options import judge_settings
    from writing_rl.data.preparation.confirmation import Confirmation
    from writing_rl.judging.judge import load_templates

    return Confirmation(judge_settings(arguments), load_templates(), arguments.retry_unscored)
