"""Change reference indexes by hand.

A run that is going on takes a change up with its next step. One that is resumed from a checkpoint goes on
with the checkpoint's indexes: change them when it is running.

examples:
  writing-rl index set 3=2 17=0
  writing-rl index set --all 0 --dry-run
"""

from __future__ import annotations

import argparse

from writing_rl.cli import UsageError
from writing_rl.cli.index_options import add_data, add_place, index_file, known_data, number, write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "ids", nargs="*", type=_assignment, metavar="ID=INDEX", help="samples and their new indexes"
    )
    parser.add_argument("--all", type=number, metavar="INDEX", help="the new index of all samples")
    parser.add_argument("--dry-run", action="store_true", help="only say what would change")
    add_data(parser)
    add_place(parser)


def run(arguments: argparse.Namespace) -> None:
    """Changes the file, and says what changed."""
    from writing_rl.curriculum.history import MOST_LINES, listed
    from writing_rl.curriculum.history import shown as shown_id
    from writing_rl.curriculum.inspect_index import set_by_hand
    from writing_rl.errors import IndexFileError

    if bool(arguments.ids) == (arguments.all is not None):
        raise UsageError("give either ids with their indexes, ID=INDEX, or --all INDEX")
    path, wanted = index_file(arguments), arguments.all
    if wanted is None:
        wanted = {}
        for key, index in arguments.ids:
            if wanted.setdefault(key, index) != index:
                raise IndexFileError(f"{path}, id {shown_id(key)}: it is given two indexes: choose one")
    changes = set_by_hand(path, wanted, known_data(arguments), dry_run=arguments.dry_run)
    if not changes:
        write([f"{path}: nothing to change"])
        return
    if arguments.dry_run:
        end = f"{path}: {len(changes)} would change, nothing is written (--dry-run)"
    else:
        end = f"{path}: {len(changes)} changed; a run that is going on takes it up with its next step"
    # Named samples are all told; there are as many as somebody typed.
    write([*listed(changes, None if arguments.all is None else MOST_LINES), end])


def _assignment(text: str) -> tuple[str, int]:
    from writing_rl.curriculum.history import parse_key

    key, equals, index = text.rpartition("=")
    try:
        return parse_key(key), number(index if equals else "")
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form ID=INDEX, such as 3=2") from None
