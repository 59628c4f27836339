#!/usr/bin/env python3
"""Reruns the paper's comparison in small, on the quick start's data and model, and judges held-out texts.

Compared are the curriculum (dynamic, static, fixed), the choice of data (margin, random, all), the reward
(pairwise, pointwise) and the algorithm (GRPO, PPO), each with the quick start's other settings. The texts are
judged against the best references, and by a judge that no training uses: it knows how the stories are built.

A training takes some minutes on two cores. Started again, the script goes on with what is missing; what it
has trained lies in logs/ablation-ARM-SEED. It writes ablation.md, ablation.png and ablation.json.

examples:
  python scripts/ablation.py                                # all arms with three seeds: some hours
  python scripts/ablation.py --arms dynamic,static,fixed --seeds 0
  python scripts/ablation.py --no_training                  # only judges what is trained
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from project_python import run_in_project


def main() -> None:
    from writing_rl.ablation.arms import ARMS, Trial
    from writing_rl.command import told_in_a_line

    parser = argparse.ArgumentParser(
        prog="scripts/ablation.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--arms", default=",".join(ARMS), metavar="A,B,...", help="(default: %(default)s)")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], help="(default: %(default)s)")
    add("--steps", type=int, default=36, help="training steps (default: %(default)s, the quick start's)")
    add(
        "--out", type=Path, default=Path("logs/ablation"), help="folder of the results (default: %(default)s)"
    )
    add("--no_training", action="store_true", help="only judge what is trained already")
    arguments = parser.parse_args()
    names = [name.strip() for name in arguments.arms.split(",")]
    if unknown := [name for name in names if name not in ARMS]:
        parser.error(f"there is no arm {unknown[0]}: choose from {', '.join(ARMS)}")
    out = arguments.out.resolve()
    os.chdir(Path(__file__).parents[1])  # where the training script works
    with told_in_a_line(out, "What is trained is kept; the same command goes on."):
        if not arguments.no_training:
            train_all(
                [Trial(ARMS[name], seed) for seed in arguments.seeds for name in names], arguments.steps
            )
        summarize(arguments.seeds, arguments.steps, out)


def train_all(trials: list, steps: int) -> None:
    """Trains what is not trained yet."""
    from tqdm import tqdm

    from writing_rl.ablation.run import is_done, train

    left = [trial for trial in trials if not is_done(trial, steps)]
    with tqdm(disable=None, total=len(trials), initial=len(trials) - len(left), unit="training") as bar:
        for trial in left:
            bar.set_postfix_str(trial.experiment)
            train(trial, steps)
            bar.update()


def summarize(seeds: list[int], steps: int, out: Path) -> None:
    """Judges the held-out texts, writes the results and prints them."""
    from writing_rl.ablation.page import write
    from writing_rl.ablation.results import collect
    from writing_rl.errors import DataError

    results = collect(seeds, steps)
    if not results.arms:
        raise DataError(f"no training of {steps} steps has come to its end: leave out --no_training")
    write(results, out)
    for result in results.arms:
        measures = ", ".join(f"{name} {figure.value:.2f}" for name, figure in result.measures.items())
        print(f"{result.arm:<10} {len(result.seeds)} seeds: {measures}")
    print(f"Written: {out / 'ablation.md'}, ablation.png and ablation.json beside it", file=sys.stderr)


if __name__ == "__main__":
    run_in_project()
    main()
