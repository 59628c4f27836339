#!/usr/bin/env python3
"""Measures the judge path with verl's own reward-loop workers, beside the best possible.

A mock judge on this machine answers after log-normal times. `best` is the best schedule of the same times in
the order of arrival, with no cost of our own.

examples:
  python scripts/benchmark_reward.py                       # what the project promises; some minutes
  python scripts/benchmark_reward.py --parallel 64 --workers 8
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/benchmark_reward.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--comparisons", type=int, default=1024, help="(default: %(default)s)")
    parser.add_argument("--parallel", type=int, nargs="+", default=[64, 256], help="API_PARALLEL")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 8], help="reward.num_workers")
    parser.add_argument("--mean_s", type=float, default=1.0, help="mean latency (default: %(default)s)")
    parser.add_argument(
        "--model",
        type=Path,
        default=Path("data/quickstart/base_model"),
        help="checkpoint with a tokenizer (default: %(default)s, made by scripts/make_quickstart.py)",
    )
    arguments = parser.parse_args()
    if not (arguments.model / "config.json").is_file():
        sys.exit(
            f"Error: {arguments.model} is no checkpoint: run scripts/make_quickstart.py, or give --model"
        )

    from writing_rl.cpu import environment

    environment.prepare()
    import ray

    from writing_rl.benchmark.reward_path import Load, measure

    ray.init(num_cpus=16, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    columns = ("parallel", "workers", "makespan, s", "best, s", "ratio", "in flight", "a second", "CPU, ms")
    print("  ".join(f"{column:>11}" for column in columns))
    for parallel in arguments.parallel:
        for workers in arguments.workers:
            load = Load(arguments.comparisons, parallel, workers, mean_s=arguments.mean_s)
            figures = measure(load, arguments.model.resolve())
            row = (
                f"{parallel}",
                f"{workers}",
                f"{figures.makespan_s:.2f}",
                f"{figures.best_s:.2f}",
                f"{figures.makespan_s / figures.best_s:.3f}" if figures.best_s else "-",
                f"{figures.most}",
                f"{load.comparisons / figures.makespan_s:.0f}",
                f"{figures.cpu_ms:.2f}",
            )
            print("  ".join(f"{value:>11}" for value in row), flush=True)


if __name__ == "__main__":
    main()
