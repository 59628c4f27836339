"""Show the differences between two states of the curriculum.

Each is an index file, a checkpoint's folder, or a step, by the journal (./12 is a file). Exit code: 0 if they
are equal, 1 if not, 2 on errors.

examples:
  writing-rl index diff 10 20                 # what changed between two steps
  writing-rl index diff checkpoints/my-writer/global_step_40 --experiment my-writer
"""

from __future__ import annotations

import argparse
import sys

from writing_rl.cli.index_options import add_place, index_file, write

ERROR_CODE = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("a", metavar="A")
    parser.add_argument("b", metavar="B", nargs="?", help="(default: the experiment's index file)")
    parser.add_argument("--all", action="store_true", help="all lines, not the first 50")
    add_place(parser)


def run(arguments: argparse.Namespace) -> None:
    """Shows the differences; ends with exit code 1 where there are any."""
    from writing_rl.curriculum.history import MOST_LINES, listed
    from writing_rl.curriculum.inspect_index import difference, read_states, summary

    path = index_file(arguments)
    b = str(path) if arguments.b is None else arguments.b
    changes = difference(*read_states([arguments.a, b], path))
    write([*listed(changes, None if arguments.all else MOST_LINES), summary(changes)])
    if changes:
        sys.exit(1)
