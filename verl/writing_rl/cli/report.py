"""Make an HTML page of what became of a training, also while it goes on; several trainings are compared.

in:   what a run leaves in logs/NAME, running_file/index_NAME.jsonl and checkpoints/NAME
out:  logs/NAME/report.html, one file for any browser, phone or printer, and its charts in logs/NAME/report/

What is missing is left out, and the page says so. --watch writes the page again whenever the run has written
something, and an open page shows it by itself; Ctrl-C ends that.

examples:
  writing-rl report --experiment my-writer
  writing-rl report --experiment my-writer --watch            # every minute
  writing-rl report --experiment ppo grpo --output compare.html
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from writing_rl.cli import experiment_name, shown
from writing_rl.util.folders import output_folder

if TYPE_CHECKING:
    from writing_rl.report.collect import Folders
    from writing_rl.report.make import Report

#: Seconds between two looks of `--watch`, where none are given.
WATCH_S = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add = parser.add_argument
    name = experiment_name()
    add(
        "--experiment",
        nargs="+",
        default=[name],
        metavar="NAME",
        help=f"one, or several to compare (default: EXPERIMENT_NAME, here {shown(name)})",
    )
    add("--output", type=Path, help="the page (default: logs/NAME/report.html, or logs/report-compare.html)")
    add(
        "--watch",
        type=_positive,
        nargs="?",
        const=WATCH_S,
        metavar="SECONDS",
        help=f"look again after so many seconds, until Ctrl-C (default: {WATCH_S})",
    )
    add(
        "--total-steps",
        type=_positive,
        metavar="N",
        help="steps of the whole training, for the forecast (default: as the run's log says)",
    )
    add("--samples", type=_positive, default=5, metavar="N", help="shown of each kind (default: %(default)s)")
    place = parser.add_argument_group("where runs leave what they leave")
    place.add_argument("--logs", type=Path, default=output_folder("logs"), help="(default: %(default)s)")
    place.add_argument(
        "--folder", type=Path, default=output_folder("running_file"), help="(default: %(default)s)"
    )
    place.add_argument(
        "--checkpoints", type=Path, default=output_folder("checkpoints"), help="(default: %(default)s)"
    )


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 10**9:
        raise argparse.ArgumentTypeError(f"it is {text}, it must be a whole number above 0")
    return int(text)


def run(arguments: argparse.Namespace) -> None:
    """Makes the report, once or again and again."""
    from writing_rl.report.collect import Folders
    from writing_rl.report.make import default_path, make_report

    names = list(dict.fromkeys(arguments.experiment))
    folders = Folders(arguments.logs, arguments.folder, arguments.checkpoints)
    for name in names:
        folders.check(name)
    path = arguments.output or default_path(names, folders)

    def make() -> Report:
        return make_report(names, folders, arguments.total_steps, arguments.samples)

    if arguments.watch is None:
        made = make()
        made.write(path)
        _summarize(made, path)
        return
    latest: Report | None = None
    seen: object = None
    try:
        while True:
            if (now := _state(names, folders)) != seen:
                latest, seen = make(), now
                latest.write(path, arguments.watch)
                _summarize(latest, path)
            time.sleep(arguments.watch)
    except KeyboardInterrupt:
        if latest is not None:
            latest.write_page(path)  # an open page need not look any more


def _state(names: list[str], folders: Folders) -> object:
    """What changes whenever one of the runs has written something."""
    return [folders.state(name) for name in names]


def _summarize(made: Report, path: Path) -> None:
    """Prints a summary."""
    from writing_rl.util.console import say

    for run in made.contents.runs:
        say(f"{run.name}: {run.status}")
        for stat in run.stats:
            say(f"  {stat.label:<38} {stat.value}{f' -> {stat.after}' if stat.after else '':<12} {stat.more}")
        for note in run.notes:
            say(f"  {note}")
    say(f"Report: {path}")
