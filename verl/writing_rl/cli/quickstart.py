"""Make the quick start: a small data set and a tiny base model to train on it.

Needs no network and no GPU, and takes one to two minutes on two CPU cores.

  DIR/train.parquet     prompts with five references of increasing quality
  DIR/test.parquet      the same, for prompts that the base model has not seen
  DIR/base_model/       an ordinary Hugging Face checkpoint: a Qwen2 of 0.9 M parameters
  DIR/quickstart.json   the seed these were made with

What is there already is kept.

examples:
  writing-rl quickstart                           # make what is missing in data/quickstart
  writing-rl quickstart --force                   # make everything anew
  writing-rl quickstart --output other --seed 1   # other texts and another base model
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add = parser.add_argument
    add("--output", type=Path, default=Path("data/quickstart"), metavar="DIR", help="(default: %(default)s)")
    add("--seed", type=int, default=0, help="seed of texts and model (default: %(default)s)")
    add("--force", action="store_true", help="make anew what is there already")


def run(arguments: argparse.Namespace) -> None:
    """Makes what is missing."""
    from writing_rl.quickstart.make import make

    make(arguments.output, seed=arguments.seed, force=arguments.force)
