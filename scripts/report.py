#!/usr/bin/env python3
"""Makes a page of what became of a training, also while it goes on; several trainings are compared.

in:   what a run leaves in logs/NAME, running_file/index_NAME.jsonl and checkpoints/NAME
out:  logs/NAME/report.html, one file for any browser, phone or printer, and its charts in logs/NAME/report/

What is missing is left out, and the page says so. --watch writes the page again whenever the run has written
something, and an open page shows it by itself; Ctrl-C ends that.

examples:
  python scripts/report.py --experiment my-writer
  python scripts/report.py --experiment my-writer --watch            # every minute
  python scripts/report.py --experiment ppo grpo --out compare.html
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from project_python import run_in_project

if TYPE_CHECKING:
    from writing_rl.report.collect import Folders
    from writing_rl.report.make import Report

#: Seconds between two looks of `--watch`, where none are given.
WATCH_S = 60


def main() -> None:
    arguments = make_parser().parse_args()

    from writing_rl.command import told_in_a_line

    with told_in_a_line(arguments.out):
        report(arguments)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/report.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    name = os.environ.get("EXPERIMENT_NAME") or "writing-rl"
    shown = name.replace("%", "%%")
    add(
        "--experiment",
        nargs="+",
        default=[name],
        metavar="NAME",
        help=f"one, or several to compare (default: EXPERIMENT_NAME, here {shown})",
    )
    add("--out", type=Path, help="the page (default: logs/NAME/report.html, or logs/report-compare.html)")
    add(
        "--watch",
        type=positive,
        nargs="?",
        const=WATCH_S,
        metavar="SECONDS",
        help=f"look again after so many seconds, until Ctrl-C (default: {WATCH_S})",
    )
    add(
        "--total_steps",
        type=positive,
        metavar="N",
        help="steps of the whole training, for the forecast (default: as the run's log says)",
    )
    add("--samples", type=positive, default=5, metavar="N", help="shown of each kind (default: %(default)s)")
    place = parser.add_argument_group("where runs leave what they leave")
    place.add_argument("--logs", type=Path, default=Path("logs"), help="(default: %(default)s)")
    place.add_argument("--folder", type=Path, default=Path("running_file"), help="(default: %(default)s)")
    place.add_argument("--checkpoints", type=Path, default=Path("checkpoints"), help="(default: %(default)s)")
    return parser


def positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 10**9:
        raise argparse.ArgumentTypeError(f"it is {text}, it must be a whole number above 0")
    return int(text)


def report(arguments: argparse.Namespace) -> None:
    """Makes the report, once or again and again."""
    from writing_rl.report.collect import Folders
    from writing_rl.report.make import default_path, make_report

    names = list(dict.fromkeys(arguments.experiment))
    folders = Folders(arguments.logs, arguments.folder, arguments.checkpoints)
    for name in names:
        folders.check(name)
    path = arguments.out or default_path(names, folders)

    def make() -> Report:
        return make_report(names, folders, arguments.total_steps, arguments.samples)

    if arguments.watch is None:
        made = make()
        made.write(path)
        say(made, path)
        return
    made = None
    seen: object = None
    try:
        while True:
            if (now := state(names, folders)) != seen:
                made, seen = make(), now
                made.write(path, arguments.watch)
                say(made, path)
            time.sleep(arguments.watch)
    except KeyboardInterrupt:
        if made is not None:
            made.write_page(path)  # an open page need not look any more


def state(names: list[str], folders: Folders) -> object:
    """What changes whenever one of the runs has written something."""
    return [folders.state(name) for name in names]


def say(made: Report, path: Path) -> None:
    """Prints a summary."""
    for run in made.contents.runs:
        print(f"{run.name}: {run.status}")
        for stat in run.stats:
            print(
                f"  {stat.label:<38} {stat.value}{f' -> {stat.after}' if stat.after else '':<12} {stat.more}"
            )
        for note in run.notes:
            print(f"  {note}")
    print(f"Report: {path}", flush=True)


if __name__ == "__main__":
    run_in_project()
    main()
