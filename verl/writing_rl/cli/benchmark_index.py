"""Measures the curriculum's state beside what it should reach.

  commit   loading an index file, committing steps, and memory, with 5,000 and 1,000,000 samples
  rate     eight processes that ask for references and tell outcomes at once; none may be lost
  kill     SIGKILL at random moments during commits: the file is whole, and what the journal leads to

examples:
  writing-rl benchmark index                  # all of it; some minutes
  writing-rl benchmark index kill --kills 1000
"""

from __future__ import annotations

import argparse

from writing_rl.cli import UsageError

PARTS = ("commit", "rate", "kill")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add = parser.add_argument
    add("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    add("--samples", type=int, nargs="+", default=[5000, 1_000_000], help="(default: %(default)s)")
    add("--outcomes", type=int, default=100_000, help="of `rate` (default: %(default)s)")
    add("--kills", type=int, default=200, help="(default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Measures and prints."""
    if unknown := set(arguments.parts) - set(PARTS):
        raise UsageError(f"there is no part {unknown.pop()}: choose from {', '.join(PARTS)}")
    parts = arguments.parts or PARTS

    from writing_rl.experiments.benchmark.index_state import kill_commits, measure_commits, measure_rate

    if "commit" in parts:
        print("commit: of 1,024 outcomes at most 0.3 s, at 5,000 samples 0.01 s; load at most 2 s, 400 MB")
        for samples in arguments.samples:
            figures = measure_commits(samples)
            print(
                f"  {samples:>9,} samples: load {figures.load_s:.2f} s, begin {figures.begin_s:.2f} s, "
                f"commit {figures.commit_s:.4f} s (longest {figures.longest_commit_s:.4f}), "
                f"longest wait of a lookup {figures.longest_wait_s:.4f} s, memory {figures.memory_mb:.0f} MB",
                flush=True,
            )
    if "rate" in parts:
        import ray

        ray.init("local", num_cpus=16, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        print("rate: at least 10,000 references with outcomes a second for 8 processes, none lost")
        rate = measure_rate(outcomes=arguments.outcomes)
        print(f"  {rate.rate:,.0f} a second; {rate.lost} of {rate.told:,} lost", flush=True)
        ray.shutdown()
    if "kill" in parts:
        print("kill: no kill may leave a file that is not whole, or not what the journal leads to")
        wrong = kill_commits(arguments.kills)
        print(f"  {wrong} of {arguments.kills} kills", flush=True)
