"""Show how many samples stand at which reference, or where single ones stand and how they came there.

An id that is not a plain word is shown, and may be given, as a JSON string: '"a b"'.

examples:
  writing-rl index show
  writing-rl index show 3 17 --step 40        # two samples, as they were after step 40
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from writing_rl.cli.index_options import add_data, add_place, at_least, index_file, known_data, write

if TYPE_CHECKING:
    from writing_rl.curriculum.history import Entries


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("ids", nargs="*", metavar="ID", help="samples (default: how many stand where)")
    parser.add_argument("--step", type=at_least(0), metavar="N", help="the state after this step")
    add_data(parser)
    add_place(parser)


def run(arguments: argparse.Namespace) -> None:
    """Shows samples, or their distribution."""
    from writing_rl.curriculum.history import entries_until, parse_key, read_entries, sample_lines
    from writing_rl.curriculum.index_file import read_index
    from writing_rl.curriculum.inspect_index import distribution
    from writing_rl.curriculum.journal import journal_of, rebuild

    path, step = index_file(arguments), arguments.step
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
        write(sample_lines(source, indexes, keys, entries, known.references if known else {}))
    else:
        write(distribution(f"{source}" if step is None else f"{source} after step {step}", indexes, known))
