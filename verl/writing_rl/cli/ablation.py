"""Rerun the paper's comparison in small, on the quick start's data and model, and judge held-out texts.

Compared are the curriculum (dynamic, static, fixed), the choice of data (margin, random, all), the reward
(pairwise, pointwise) and the algorithm (GRPO, PPO), each with the quick start's other settings. The texts are
judged against the best references, and by a judge that no training uses: it knows how the stories are built.

A training takes some minutes on two cores. Started again, it goes on with what is missing; what it
has trained lies in logs/ablation-ARM-SEED. It writes ablation.md, ablation.png and ablation.json.

examples:
  writing-rl ablation                                # all arms with three seeds: some hours
  writing-rl ablation --arms dynamic,static,fixed --seeds 0
  writing-rl ablation --no-training                  # only judges what is trained
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from writing_rl.cli import UsageError
from writing_rl.util.folders import output_folder

if TYPE_CHECKING:
    from writing_rl.experiments.ablation.arms import Trial

INTERRUPTED = "What is trained is kept; the same command goes on."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    from writing_rl.experiments.ablation.arms import ARMS

    add = parser.add_argument
    add("--arms", default=",".join(ARMS), metavar="A,B,...", help="(default: %(default)s)")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], help="(default: %(default)s)")
    add("--steps", type=int, default=36, help="training steps (default: %(default)s, the quick start's)")
    folder = "folder of the results (default: %(default)s)"
    add("--output", type=Path, default=output_folder("logs") / "ablation", metavar="DIR", help=folder)
    add("--no-training", action="store_true", help="only judge what is trained already")


def run(arguments: argparse.Namespace) -> None:
    """Trains what is not trained yet, and judges the held-out texts."""
    from writing_rl.experiments.ablation.arms import ARMS, Trial

    names = [name.strip() for name in arguments.arms.split(",")]
    if unknown := [name for name in names if name not in ARMS]:
        raise UsageError(f"there is no arm {unknown[0]}: choose from {', '.join(ARMS)}")
    if not arguments.no_training:
        _train_all([Trial(ARMS[name], seed) for seed in arguments.seeds for name in names], arguments.steps)
    _summarize(arguments.seeds, arguments.steps, arguments.output)


def _train_all(trials: list[Trial], steps: int) -> None:
    """Trains what is not trained yet."""
    from tqdm import tqdm

    from writing_rl.experiments.ablation.run import is_done, train

    left = [trial for trial in trials if not is_done(trial, steps)]
    with tqdm(disable=None, total=len(trials), initial=len(trials) - len(left), unit="training") as bar:
        for trial in left:
            bar.set_postfix_str(trial.experiment)
            train(trial, steps)
            bar.update()


def _summarize(seeds: list[int], steps: int, out: Path) -> None:
    """Judges the held-out texts, writes the results and prints them."""
    from writing_rl.errors import DataError
    from writing_rl.experiments.ablation.page import write
    from writing_rl.experiments.ablation.results import collect
    from writing_rl.util.console import say

    results = collect(seeds, steps)
    if not results.arms:
        raise DataError(f"no training of {steps} steps has come to its end: leave out --no-training")
    write(results, out)
    for result in results.arms:
        measures = ", ".join(f"{name} {figure.value:.2f}" for name, figure in result.measures.items())
        say(f"{result.arm:<10} {len(result.seeds)} seeds: {measures}")
    say(f"Written: {out / 'ablation.md'}, ablation.png and ablation.json beside it", file=sys.stderr)
