"""Make the reference index file of an experiment, or complete and check an existing one.

examples:
  EXPERIMENT_NAME=my-writer DATA_DIR=data writing-rl index create
  writing-rl index create --experiment my-writer --data data/train.parquet
  writing-rl index create --experiment my-writer --data-num 1500
  writing-rl index create --experiment my-writer --reset     # start over
"""

from __future__ import annotations

import argparse
from pathlib import Path

from writing_rl.cli.index_options import add_place, at_least, index_file, training_set


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_place(parser)
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--data",
        type=Path,
        default=training_set(),
        metavar="FILE",
        help="the training set that the file is for (default: train.parquet in DATA_DIR, here %(default)s)",
    )
    source.add_argument(
        "--data-num", type=at_least(1), metavar="N", help="instead of a training set: samples 0 to N-1"
    )
    parser.add_argument(
        "--reset", action="store_true", help="start over an existing file, after saying what is lost"
    )


def run(arguments: argparse.Namespace) -> None:
    """Makes the file."""
    from writing_rl.curriculum.create import Starts, create_index_file, describe_loss
    from writing_rl.util.console import say

    path, count = index_file(arguments), arguments.data_num
    starts = Starts.from_data(arguments.data) if count is None else Starts.from_number(count)
    if arguments.reset and path.exists():
        say(f"Starting over: {describe_loss(path)}")
    say(create_index_file(path, starts, reset=arguments.reset))
