"""Show what each step did to the curriculum, or every change of single samples.

examples:
  writing-rl index history --last 20
  writing-rl index history 3                  # what became of a sample
"""

from __future__ import annotations

import argparse

from writing_rl.cli.index_options import add_place, at_least, index_file, write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("ids", nargs="*", metavar="ID", help="samples (default: one line a step)")
    parser.add_argument("--last", type=at_least(1), metavar="N", help="only the last N lines")
    add_place(parser)


def run(arguments: argparse.Namespace) -> None:
    """Shows the journal."""
    from writing_rl.curriculum.history import change_lines, parse_key, read_entries, step_lines

    path = index_file(arguments)
    entries = read_entries(path)
    keys = list(dict.fromkeys(map(parse_key, arguments.ids)))
    lines = change_lines(path, entries, keys) if keys else list(step_lines(entries))
    write(lines[-arguments.last :] if arguments.last else lines)
