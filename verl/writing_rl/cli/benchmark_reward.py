"""Measures the judge path beside the best possible, with verl's own reward-loop workers and a mock judge.

The mock judge runs on this machine and answers after log-normal times with a mean of a second, or at once.
Chance has a part in all but `overlap`, which is measured once; of the others there is the median of several
measurements, with the lowest and the highest beside it.

  schedule   1,024 texts at once; `best` is the best schedule of the same latencies in the order of arrival,
             from the moments at which verl and Ray hand the texts over to a manager that does nothing
  rate       a judge that answers at once: comparisons a second, with one manager alone (0 workers; `best` is
             what the client of the judge takes for the same requests and nothing else) and through workers
  overlap    texts that are finished one after another: how long after the last one its reward is there
  faults     a fifth of the requests is refused, broken, left hanging or answered in vain

examples:
  writing-rl benchmark reward                       # all of it; a quarter of an hour
  writing-rl benchmark reward schedule --parallel 64 --workers 8
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from writing_rl.cli import UsageError

if TYPE_CHECKING:
    from writing_rl.experiments.benchmark.reward_path import Figures, Load

PARTS = ("schedule", "rate", "overlap", "faults")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add = parser.add_argument
    add("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    add("--comparisons", type=int, default=1024, help="(default: %(default)s)")
    add("--parallel", type=int, nargs="+", default=[64, 256], help="API_PARALLEL of `schedule`")
    add("--workers", type=int, nargs="+", default=[1, 2, 4, 8], help="reward.num_workers of `schedule`")
    add("--repeats", type=int, default=3, help="measurements of each case (default: %(default)s)")
    add(
        "--model",
        type=Path,
        default=Path("data/quickstart/base_model"),
        help="checkpoint with a tokenizer (default: %(default)s, made by writing-rl quickstart)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Measures and prints."""
    if arguments.repeats < 1:
        raise UsageError("--repeats must be at least 1")
    if unknown := set(arguments.parts) - set(PARTS):
        raise UsageError(f"there is no part {unknown.pop()}: choose from {', '.join(PARTS)}")
    if not (arguments.model / "config.json").is_file():
        sys.exit(f"Error: {arguments.model} is no checkpoint: run writing-rl quickstart, or give --model")

    from writing_rl.cpu import environment

    environment.prepare()
    import ray

    from writing_rl.experiments.benchmark.reward_path import Load, measure

    ray.init("local", num_cpus=16, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    model = arguments.model.resolve()
    load = Load(arguments.comparisons)
    parts = arguments.parts or PARTS

    def repeat(case: Load, figure: Callable[[Figures], float], form: str) -> list[Figures]:
        runs = sorted((measure(case, model) for _ in range(arguments.repeats)), key=figure)
        median = runs[len(runs) // 2]
        text = f"{figure(median):{form}} ({figure(runs[0]):{form}}-{figure(runs[-1]):{form}})"
        show(case, replace(median, most=max(run.most for run in runs)), text)
        return runs

    if "schedule" in parts:
        title("schedule", "ratio to best", "at most 1.05 at 64 in flight, 1.08 at 256")
        for parallel in arguments.parallel:
            for workers in arguments.workers:
                case = replace(load, parallel=parallel, workers=workers)
                repeat(case, lambda run: run.makespan_s / run.best_s, ".3f")
    if "rate" in parts:
        title("rate", "a second", "at least 400 with one manager (0 workers), 250 through workers")
        for workers in (0, 1, 2, 4):
            case = replace(load, workers=workers, mean_s=0.0)
            repeat(case, lambda run: load.comparisons / run.makespan_s, ".0f")
    if "overlap" in parts:
        title(
            "overlap",
            "ratio to best",
            "at most 1.1: the last reward comes one judge call after the last text",
        )
        case = replace(load, workers=4, comparisons=256, spread_s=20.0)
        figures = measure(case, model)
        show(case, figures, f"{figures.makespan_s / figures.best_s:.3f}")
    if "faults" in parts:
        title("faults", "ratio to none", "at most 1.5 of the same without faults; nothing asked twice")
        case = replace(load, workers=4)
        whole = measure(case, model)
        show(case, whole, "1")
        case = replace(case, fault_share=0.2)
        runs = repeat(case, lambda run: run.makespan_s / whole.makespan_s, ".3f")
        unscored = sum((Counter(run.unscored) for run in runs), Counter())
        repeated = sum(run.repeated for run in runs)
        print(f"in all of them: unscored {dict(unscored) or 'none'}; asked again after an answer {repeated}")


COLUMNS = (
    "parallel",
    "workers",
    "makespan, s",
    "best, s",
    "handing over, s",
    "in flight",
    "connections",
    "CPU, ms",
)


def title(part: str, figure: str, promise: str) -> None:
    """Begins the table of a part."""
    print(f"\n{part}: {figure} {promise}")
    print(_line(figure, *COLUMNS), flush=True)


def show(load: Load, figures: Figures, figure: str) -> None:
    """Prints what was measured; CPU is that of the judging processes for one comparison."""
    row = (
        figure,
        str(load.parallel),
        str(load.workers),
        f"{figures.makespan_s:.2f}",
        f"{figures.best_s:.2f}",
        f"{figures.handing_s:.2f}",
        str(figures.most),
        str(figures.connections),
        f"{figures.cpu_ms:.2f}",
    )
    print(_line(*row), flush=True)


def _line(figure: str, *others: str) -> str:
    return "  ".join((f"{figure:>19}", *(f"{other:>15}" for other in others)))
