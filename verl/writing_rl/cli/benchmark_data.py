"""Measures the way from raw prompts to a training set beside what it should reach.

  prepare  prompts with responses whose scores are given -> parquet, and the check of that set
  grade    responses graded by a mock judge that answers after log-normal times; `best` is the best schedule
           of the same times, in the order of arrival and with no cost of our own
  kill     SIGKILL at random moments of a grading, which is then started again: how many calls are repeated

examples:
  writing-rl benchmark data                  # all of it; some minutes
  writing-rl benchmark data prepare --prompts 10000
"""

from __future__ import annotations

import argparse

from writing_rl.cli import UsageError

PARTS = ("prepare", "grade", "kill")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add = parser.add_argument
    add("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    add("--prompts", type=int, default=100_000, help="of `prepare` (default: %(default)s)")
    add("--responses", type=int, default=5, help="to each of them (default: %(default)s)")
    add("--words", type=int, default=150, help="of a response (default: %(default)s)")
    add("--texts", type=int, default=2000, help="of `grade` and `kill` (default: %(default)s)")
    add("--parallel", type=int, default=64, help="requests in flight (default: %(default)s)")
    add("--kills", type=int, default=20, help="(default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Measures and prints."""
    if unknown := set(arguments.parts) - set(PARTS):
        raise UsageError(f"there is no part {unknown.pop()}: choose from {', '.join(PARTS)}")
    parts = arguments.parts or PARTS

    from writing_rl.experiments.benchmark.data_stages import (
        measure_grading,
        measure_kills,
        measure_preparation,
    )

    if "prepare" in parts:
        print("prepare: 100,000 prompts with 5 responses at most 60 s and 3,000 MB; the check at most 20 s")
        size, prepared, checked = measure_preparation(arguments.prompts, arguments.responses, arguments.words)
        print(
            f"  {arguments.prompts:,} prompts, {size / 1e6:.0f} MB: prepared in {prepared.seconds:.1f} s, "
            f"{prepared.memory_mb:.0f} MB; checked in {checked.seconds:.1f} s, {checked.memory_mb:.0f} MB",
            flush=True,
        )
    if "grade" in parts:
        print("grade: at most 1.05 of the best schedule")
        graded = measure_grading(arguments.texts, arguments.parallel, mean_s=1.0)
        print(
            f"  {arguments.texts:,} texts: {graded.seconds:.2f} s, best {graded.best_s:.2f} s, ratio "
            f"{graded.seconds / graded.best_s:.3f}; the whole script {graded.whole_s:.2f} s, ratio "
            f"{graded.whole_s / graded.best_s:.3f}; {graded.most} in flight, {graded.cpu_ms:.2f} ms of CPU",
            flush=True,
        )
    if "kill" in parts:
        print("kill: no more calls are repeated than were in flight, and nothing is lost")
        killed = measure_kills(arguments.texts, arguments.parallel, arguments.kills)
        print(
            f"  {killed.kills} kills: {killed.repeated} calls repeated of at most {killed.most} in flight; "
            f"{killed.graded:,} of {arguments.texts:,} graded",
            flush=True,
        )
