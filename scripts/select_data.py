#!/usr/bin/env python3
"""Keeps the samples of a data set from which the policy can learn most: margin-aware data selection.

The margin of a sample is the score of its best reference less the mean score of what the policy writes for
it. --data is a set of scripts/prepare_data.py. --policy has one line a response, several lines of one id are
averaged, and its scores must be on the same scale as those of the references:
  {"id": 17, "score": 6.5}

--out gets the rows that are kept, as they were. Beside OUT.parquet come OUT.selection.csv (each row's scores,
margin and rank, and why it is kept or not), OUT.selection.png and OUT.selection.json.

examples:
  python scripts/select_data.py --data all/train.parquet --policy policy.jsonl --top 1500 --out top.parquet

  and in place of --top 1500:
  --above 1                    # every sample with a margin larger than 1
  --share 0.2 --per_source     # the best fifth of each source
  --by random --top 1500       # as many by chance, to compare with
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path


def main() -> None:
    parser = make_parser()
    arguments = parser.parse_args()
    if arguments.by == "random" and arguments.above is not None:
        parser.error("--above is a threshold on the margin and --by random ignores margins: use one of them")

    from writing_rl.data.select import By, Rule
    from writing_rl.data.select_run import Files, select
    from writing_rl.errors import UserError

    rule = Rule(
        By(arguments.by),
        arguments.top,
        arguments.share,
        arguments.above,
        per_source=arguments.per_source,
        seed=arguments.seed,
    )
    files = Files(arguments.data, arguments.policy, arguments.out)
    try:
        print(select(files, rule, skip_unscored=arguments.skip_unscored, force=arguments.force))
    except UserError as error:
        sys.exit(f"Error: {error}")
    except OSError as error:
        sys.exit(f"Error: {error.filename or arguments.out}: {error.strerror}")


def make_parser() -> argparse.ArgumentParser:
    from writing_rl.judging.options import positive

    parser = argparse.ArgumentParser(
        prog="scripts/select_data.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="the data set, with extra_info.scores")
    add("--policy", type=Path, required=True, help="the policy's scores, JSON lines")
    add("--out", type=Path, required=True, help="the parquet file to write")
    order = "largest margin, lowest policy score, or a random order first (default: %(default)s)"
    add("--by", choices=("margin", "difficulty", "random"), default="margin", help=order)
    number = parser.add_mutually_exclusive_group(required=True)
    number.add_argument("--top", type=positive, metavar="K", help="keep the first K")
    number.add_argument("--share", type=share, metavar="S", help="keep the first share, above 0 to 1")
    number.add_argument("--above", type=finite, metavar="T", help="keep those with a margin larger than T")
    within = "rank and keep within each extra_info.source: K, or the share S, of each"
    add("--per_source", action="store_true", help=within)
    add("--seed", type=int, default=0, help="of the random order and among equals (default: %(default)s)")
    add("--skip_unscored", action="store_true", help="leave out rows without a policy score")
    add("--force", action="store_true", help="replace files that are there")
    return parser


def share(text: str) -> float:
    """A number above 0, to 1."""
    if not 0 < (value := float(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return value


def finite(text: str) -> float:
    """A number that is none of infinity and NaN."""
    if not math.isfinite(value := float(text)):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number")
    return value


if __name__ == "__main__":
    main()
