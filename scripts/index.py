#!/usr/bin/env python3
"""Looks into the reference index file of an experiment and its journal, and changes it by hand.

examples:
  python scripts/index.py show                       # how many samples are at which reference
  python scripts/index.py show 3 17 --step 40        # two samples, as they were after step 40
  python scripts/index.py set 3=2 17=0               # also while a training is going on
  python scripts/index.py set --all 0 --dry_run
  python scripts/index.py diff 10 20                 # what changed between two steps
  python scripts/index.py diff checkpoints/my-writer/global_step_40 --experiment my-writer
  python scripts/index.py history --last 20          # what each step did
  python scripts/index.py history 3                  # what became of a sample

An id that is no plain word is shown, and may be given, as a JSON string: show '"a b"'.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from project_python import run_in_project

if TYPE_CHECKING:
    from writing_rl.curriculum.history import Entries
    from writing_rl.curriculum.inspect_index import Data

Answer = tuple[Iterable[str], int]

EXPERIMENT = os.environ.get("EXPERIMENT_NAME") or "writing-rl"
DATA = Path(os.environ.get("DATA_DIR") or "data", "train.parquet")


def main() -> None:
    parser = make_parser()
    arguments = parser.parse_args()
    if arguments.command == "set" and bool(arguments.ids) == (arguments.all is not None):
        parser.error("set: give either ids with their indexes, ID=INDEX, or --all INDEX")

    from writing_rl.command import told_in_a_line
    from writing_rl.experiment import check_experiment

    commands = {"show": show, "set": change, "diff": diff, "history": history}
    with told_in_a_line(arguments.folder, code=2 if arguments.command == "diff" else 1):
        name = check_experiment(arguments.experiment, "--experiment (EXPERIMENT_NAME)")
        arguments.index_file = arguments.folder / f"index_{name}.json"
        lines, code = commands[arguments.command](arguments)
    write(lines)
    sys.exit(code)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/index.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(experiment=EXPERIMENT, folder=Path("running_file"))
    place(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="show|set|diff|history")

    def command(name: str, help: str, more: str = "") -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=help, description=f"{help[0].upper()}{help[1:]}. {more}".strip()
        )

    one = command("show", "show where the samples stand, or where single ones stand and how they came there")
    one.add_argument("ids", nargs="*", metavar="ID", help="samples (default: how many stand where)")
    one.add_argument(
        "--step", type=at_least(0), metavar="N", help="the state after this step, by the journal"
    )
    data(one)
    place(one)

    one = command(
        "set",
        "change the file by hand",
        "A run that is going on takes it up with its next step. One that is resumed from a checkpoint goes "
        "on with the checkpoint's indexes: change them when it is running.",
    )
    one.add_argument(
        "ids", nargs="*", type=assignment, metavar="ID=INDEX", help="samples and their new indexes"
    )
    one.add_argument("--all", type=number, metavar="INDEX", help="the new index of all samples in the file")
    one.add_argument("--dry_run", action="store_true", help="only say what would change")
    data(one)
    place(one)

    one = command(
        "diff",
        "show the differences between two states",
        "Each is an index file, a checkpoint's folder, or a step, by the journal (./12 is a file). "
        "Exit code: 0 if they are equal, 1 if not, 2 on errors.",
    )
    one.add_argument("a", metavar="A")
    one.add_argument("b", metavar="B", nargs="?", help="(default: the experiment's index file)")
    one.add_argument("--all", action="store_true", help="all lines, not the first 50")
    place(one)

    one = command("history", "show what each step did, or every change of single samples")
    one.add_argument("ids", nargs="*", metavar="ID", help="samples (default: one line a step)")
    one.add_argument("--last", type=at_least(1), metavar="N", help="only the last N lines")
    place(one)
    return parser


def place(parser: argparse.ArgumentParser) -> None:
    """Options before and after the command; without a default, so that the second does not undo the first."""
    add, default = parser.add_argument, argparse.SUPPRESS
    name = EXPERIMENT.replace("%", "%%")
    add("--experiment", default=default, help=f"its name (default: EXPERIMENT_NAME, here {name})")
    add("--folder", type=Path, default=default, help="where index files are (default: running_file)")


def data(parser: argparse.ArgumentParser) -> None:
    name = str(DATA).replace("%", "%%")
    parser.add_argument(
        "--data",
        type=Path,
        help=f"the training set (default: train.parquet in DATA_DIR, here {name}, if that exists)",
    )


def number(text: str) -> int:
    # int() takes more, such as 1_0, and refuses what has thousands of digits.
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)


def at_least(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if number(text) < least:
            raise argparse.ArgumentTypeError(f"it is {text}, it must be at least {least}")
        return int(text)

    return parse


def assignment(text: str) -> tuple[str, int]:
    from writing_rl.curriculum.history import parse_key

    key, equals, index = text.rpartition("=")
    try:
        return parse_key(key), number(index if equals else "")
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form ID=INDEX, such as 3=2") from None


def show(arguments: argparse.Namespace) -> Answer:
    from writing_rl.curriculum.history import entries_until, parse_key, read_entries, sample_lines
    from writing_rl.curriculum.index_file import read_index
    from writing_rl.curriculum.inspect_index import distribution
    from writing_rl.curriculum.journal import journal_of, rebuild

    path, step = arguments.index_file, arguments.step
    keys = list(dict.fromkeys(map(parse_key, arguments.ids)))
    known = known_data(arguments)
    entries: Entries = []
    if step is not None:
        entries = entries_until(read_entries(path), step, path)
    elif keys and journal_of(path).exists():
        entries = read_entries(path)
    indexes = read_index(path) if step is None else rebuild(entries)
    source = path if step is None else journal_of(path)
    if keys:
        return sample_lines(source, indexes, keys, entries, known.references if known else {}), 0
    return distribution(f"{source}" if step is None else f"{source} after step {step}", indexes, known), 0


def change(arguments: argparse.Namespace) -> Answer:
    from writing_rl.curriculum.history import MOST_LINES, listed, shown
    from writing_rl.curriculum.inspect_index import set_by_hand
    from writing_rl.errors import IndexFileError

    path, wanted = arguments.index_file, arguments.all
    if wanted is None:
        wanted = {}
        for key, index in arguments.ids:
            if wanted.setdefault(key, index) != index:
                raise IndexFileError(f"{path}, id {shown(key)}: it is given two indexes: choose one")
    changes = set_by_hand(path, wanted, known_data(arguments), dry_run=arguments.dry_run)
    if not changes:
        return [f"{path}: nothing to change"], 0
    if arguments.dry_run:
        end = f"{path}: {len(changes)} would change, nothing is written (--dry_run)"
    else:
        end = f"{path}: {len(changes)} changed; a run that is going on takes it up with its next step"
    # Named samples are all told; there are as many as somebody typed.
    return [*listed(changes, None if arguments.all is None else MOST_LINES), end], 0


def diff(arguments: argparse.Namespace) -> Answer:
    from writing_rl.curriculum.history import MOST_LINES, listed
    from writing_rl.curriculum.inspect_index import difference, read_states, summary

    path = arguments.index_file
    b = str(path) if arguments.b is None else arguments.b
    changes = difference(*read_states([arguments.a, b], path))
    lines = listed(changes, None if arguments.all else MOST_LINES)
    return [*lines, summary(changes)], int(bool(changes))


def history(arguments: argparse.Namespace) -> Answer:
    from writing_rl.curriculum.history import change_lines, parse_key, read_entries, step_lines

    entries = read_entries(arguments.index_file)
    keys = list(dict.fromkeys(map(parse_key, arguments.ids)))
    lines = change_lines(arguments.index_file, entries, keys) if keys else list(step_lines(entries))
    return lines[-arguments.last :] if arguments.last else lines, 0


def known_data(arguments: argparse.Namespace) -> Data | None:
    """The training set that is given, or the default one where it exists."""
    from writing_rl.curriculum.inspect_index import Data

    path = arguments.data or (DATA if DATA.is_file() else None)
    return Data.read(path) if path else None


def write(lines: Iterable[str]) -> None:
    """Prints lines, for as long as somebody reads them."""
    from writing_rl.command import say

    try:
        for line in lines:
            say(line, flush=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at the end, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    run_in_project()
    main()
