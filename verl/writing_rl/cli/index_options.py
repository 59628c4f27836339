"""What the commands about the reference index have in common."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from writing_rl.cli import experiment_name, shown
from writing_rl.util.folders import output_folder

if TYPE_CHECKING:
    from writing_rl.curriculum.inspect_index import Data


def add_place(parser: argparse.ArgumentParser) -> None:
    """Adds which experiment's index file is meant."""
    name = experiment_name()
    parser.add_argument(
        "--experiment",
        default=name,
        metavar="NAME",
        help=f"its name (default: EXPERIMENT_NAME, here {shown(name)})",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=output_folder("running_file"),
        metavar="DIR",
        help="where index files are (default: %(default)s)",
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    """Adds the training set."""
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="the training set (default: train.parquet in DATA_DIR, here "
        f"{shown(training_set())}, if that exists)",
    )


def training_set() -> Path:
    """The training set where the command line names none."""
    return Path(os.environ.get("DATA_DIR") or "data", "train.parquet")


def known_data(arguments: argparse.Namespace) -> Data | None:
    """The training set that is given, or the default one where it exists."""
    from writing_rl.curriculum.inspect_index import Data

    usual = training_set()
    path = arguments.data or (usual if usual.is_file() else None)
    return Data.read(path) if path else None


def index_file(arguments: argparse.Namespace) -> Path:
    """The index file of the experiment."""
    path: Path = arguments.folder / f"index_{arguments.experiment}.json"
    return path


def number(text: str) -> int:
    """A whole number."""
    # int() takes more, such as 1_0, and refuses what has thousands of digits.
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def at_least(least: int) -> Callable[[str], int]:
    """A whole number from `least`."""

    def parse(text: str) -> int:
        if number(text) < least:
            raise argparse.ArgumentTypeError(f"it is {text}, it must be at least {least}")
        return int(text)

    return parse


def write(lines: Iterable[str]) -> None:
    """Prints lines, for as long as somebody reads them."""
    from writing_rl.util.console import say

    try:
        for line in lines:
            say(line, flush=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at the end, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
