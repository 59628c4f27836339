"""Keep the samples of a data set from which the policy can learn most: margin-aware data selection.

The margin of a sample is the score of its best reference less the mean score of what the policy writes for
it. The data set is one of `writing-rl data prepare`. The policy's scores come from a file, a line a response
(those of one id are averaged):
  {"id": 17, "score": 6.5}
or from the policy itself: --policy-model writes to every prompt, and a judge grades it as it graded the
references. Texts, grades and scores are kept beside --output, as OUT.policy*.jsonl: started again, the
command asks only for what is missing, and --policy OUT.policy.jsonl asks for nothing.

--output gets the rows that are kept, as they were. Beside OUT.parquet come OUT.selection.csv (each row's
scores, margin and rank, and why it is kept or not), OUT.selection.png and OUT.selection.json.

examples:
  writing-rl data select all/train.parquet --policy policy.jsonl --top 1500 --output top.parquet
  writing-rl data select all/train.parquet --policy-model path/to/base --policy-samples 4 \\
    --judge qwen-plus --top 1500 --output selected/train.parquet

  and in place of --top 1500:
  --above 1                    # every sample with a margin larger than 1
  --share 0.2 --per-source     # the best fifth of each source
  --by random --top 1500       # as many by chance, to compare with
"""

from __future__ import annotations

import argparse
import math
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from writing_rl.cli import UsageError

if TYPE_CHECKING:
    from writing_rl.data.selection.policy import Policy


INTERRUPTED = "What was written and graded is kept; the same command goes on."


def run(arguments: argparse.Namespace) -> None:
    """Selects, after the policy has written and been graded where that is asked for."""
    if arguments.by == "random" and arguments.above is not None:
        raise UsageError("--above is a threshold on the margin, --by random ignores margins: use one of them")

    from writing_rl.data.selection.policy import PolicyFiles, score_policy
    from writing_rl.data.selection.run_selection import Files, select
    from writing_rl.data.selection.select import By, Rule
    from writing_rl.util.console import say

    rule = Rule(
        By(arguments.by),
        arguments.top,
        arguments.share,
        arguments.above,
        per_source=arguments.per_source,
        seed=arguments.seed,
    )
    beside = PolicyFiles.beside(arguments.output)
    files = Files(arguments.data, arguments.policy or beside.scores, arguments.output)
    if arguments.policy_model:
        files.check(force=arguments.force)
        say(score_policy(arguments.data, beside, _policy_of(arguments)), end="\n\n")
    say(select(files, rule, skip_unscored=arguments.skip_unscored, force=arguments.force))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    from writing_rl.cli.grade_options import add_grade_options
    from writing_rl.cli.judge_options import add_judge_options, not_negative, positive

    add = parser.add_argument
    add("data", type=Path, metavar="TRAIN.parquet", help="the data set, with extra_info.scores")
    scores = parser.add_mutually_exclusive_group(required=True)
    scores.add_argument("--policy", type=Path, metavar="FILE", help="the policy's scores, JSON lines")
    writer = "or the policy: a checkpoint or model, as in writing-rl data generate"
    scores.add_argument("--policy-model", metavar="MODEL", help=writer)
    add("--output", type=Path, required=True, help="the parquet file to write")
    order = "largest margin, lowest policy score, or a random order first (default: %(default)s)"
    add("--by", choices=("margin", "difficulty", "random"), default="margin", help=order)
    number = parser.add_mutually_exclusive_group(required=True)
    number.add_argument("--top", type=positive, metavar="K", help="keep the first K")
    number.add_argument("--share", type=_share, metavar="S", help="keep the first share, above 0 to 1")
    number.add_argument("--above", type=_finite, metavar="T", help="keep those with a margin larger than T")
    within = "rank and keep within each extra_info.source: K, or the share S, of each"
    add("--per-source", action="store_true", help=within)
    add("--seed", type=int, default=0, help="of the random order and among equals (default: %(default)s)")
    add("--skip-unscored", action="store_true", help="leave out rows without a policy score")
    add("--force", action="store_true", help="replace files that are there")

    asking = parser.add_argument_group("writing and grading, for --policy-model")
    add = asking.add_argument
    add("--policy-samples", type=positive, default=1, metavar="K", help="responses to a prompt (default: 1)")
    add("--policy-temperature", type=not_negative, default=1.0, metavar="T", help="(default: %(default)s)")
    most = "most tokens of a response (default: %(default)s)"
    add("--policy-max-tokens", type=positive, default=4096, metavar="N", help=most)
    vllm = "more of vLLM's options for a checkpoint, in one argument"
    add("--vllm-args", default="", metavar="'...'", help=vllm)
    add_grade_options(asking)
    add_judge_options(asking)


def _policy_of(arguments: argparse.Namespace) -> Policy:
    """Who writes and who grades."""
    from writing_rl.cli.grade_options import grading
    from writing_rl.cli.judge_options import asking_settings, own_parameters
    from writing_rl.data.generate import Generation
    from writing_rl.data.selection.policy import Policy
    from writing_rl.data.writers import parse_writers
    from writing_rl.errors import SettingError

    writers = parse_writers(arguments.policy_model)
    if len(writers) > 1:
        raise SettingError(f"--policy-model is {arguments.policy_model}: there is one policy")
    models = replace(
        asking_settings(arguments),
        temperature=arguments.policy_temperature,
        max_tokens=arguments.policy_max_tokens,
        own=own_parameters(
            temperature=(arguments.policy_temperature, 1.0), max_tokens=(arguments.policy_max_tokens, 4096)
        ),
        request_timeout_s=900,
        deadline_s=1800,
    )
    generation = Generation(
        writers,
        models,
        arguments.policy_samples,
        vllm_arguments=shlex.split(arguments.vllm_args),
        retry_failed=arguments.retry_unscored,
    )
    return Policy(generation, grading(arguments))


def _share(text: str) -> float:
    """A number above 0, to 1."""
    if not 0 < (value := float(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return value


def _finite(text: str) -> float:
    """A number that is none of infinity and NaN."""
    if not math.isfinite(value := float(text)):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number")
    return value
