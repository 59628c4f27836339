"""Measures writing-rl report beside what it should reach, on the logs of a made-up run.

The logs are written into a temporary folder (TMPDIR) and removed at the end: 0.8 GB, and half a minute.

examples:
  writing-rl benchmark report                                # 405 steps of 256 rollouts
  writing-rl benchmark report --steps 100 --rollouts 1
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = (sys.executable, "-m", "writing_rl.cli")
#: What it should reach at the default size: seconds, and megabytes of memory and of the page.
MOST_S, MOST_MEMORY_MB, MOST_PAGE_MB = 30, 1000, 15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add = parser.add_argument
    add("--steps", type=int, default=405, help="(default: %(default)s)")
    add("--prompts", type=int, default=32, help="in a step (default: %(default)s)")
    add("--rollouts", type=int, default=8, help="of a prompt (default: %(default)s)")
    add("--characters", type=int, default=2000, help="of each text (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Measures and prints."""
    from writing_rl.report.collect import Folders
    from writing_rl.report.synthetic import Size, write_run

    size = Size(arguments.steps, arguments.prompts, arguments.rollouts, arguments.characters)
    with tempfile.TemporaryDirectory() as folder:
        folders = Folders(Path(folder, "logs"), Path(folder, "running_file"), Path(folder, "checkpoints"))
        write_run("made-up", folders, size)
        written = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        lines = size.steps * size.prompts * size.rollouts
        print(f"{size.steps} steps, {lines:,} rollouts, {written / 1e6:,.0f} MB of logs", flush=True)

        begun = time.perf_counter()
        subprocess.run(
            [*COMMAND, "report", "--experiment", "made-up"],
            cwd=folder,
            check=True,
            stdout=subprocess.PIPE,
        )
        taken = time.perf_counter() - begun
        memory_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        page = (folders.logs / "made-up" / "report.html").stat().st_size
    print(f"  {taken:6.1f} s           at most {MOST_S} s")
    print(f"  {memory_kib / 1024:6.0f} MB of memory at most {MOST_MEMORY_MB:,} MB")
    print(f"  {page / 1e6:6.2f} MB of page   at most {MOST_PAGE_MB} MB")
