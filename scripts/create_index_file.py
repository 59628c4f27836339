#!/usr/bin/env python3
"""Makes the reference index file of an experiment, or completes and checks an existing one.

examples:
  EXPERIMENT_NAME=my-writer DATA_DIR=data python scripts/create_index_file.py
  python scripts/create_index_file.py --experiment my-writer --data data/train.parquet
  python scripts/create_index_file.py --experiment my-writer --data_num 1500
  python scripts/create_index_file.py --experiment my-writer --reset     # start over
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from project_python import run_in_project


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--experiment",
        default=os.environ.get("EXPERIMENT_NAME") or "writing-rl",
        help="name of the experiment (default: EXPERIMENT_NAME, here %(default)s)",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("DATA_DIR") or "data", "train.parquet"),
        help="the training set that the file is for (default: train.parquet in DATA_DIR, here %(default)s)",
    )
    source.add_argument(
        "--data_num", type=int, metavar="N", help="instead of a training set: samples 0 to N-1"
    )
    parser.add_argument(
        "--reset", action="store_true", help="start over an existing file, after saying what is lost"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("running_file"),
        help="where index files are (default: %(default)s)",
    )
    arguments = parser.parse_args()
    if arguments.data_num is not None and arguments.data_num < 1:
        parser.error(f"--data_num is {arguments.data_num}: it must be at least 1")

    from writing_rl.command import say, told_in_a_line
    from writing_rl.curriculum.create import Starts, create_index_file, describe_loss
    from writing_rl.experiment import check_experiment

    with told_in_a_line(arguments.folder):
        name = check_experiment(arguments.experiment, "--experiment (EXPERIMENT_NAME)")
        path = arguments.folder / f"index_{name}.json"
        number = arguments.data_num
        starts = Starts.from_data(arguments.data) if number is None else Starts.from_number(number)
        if arguments.reset and path.exists():
            say(f"Starting over: {describe_loss(path)}")
        say(create_index_file(path, starts, reset=arguments.reset))


if __name__ == "__main__":
    run_in_project()
    main()
