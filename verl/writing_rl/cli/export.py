"""Write a checkpoint of a training as a folder that transformers and vLLM load, through verl's own merger.

in:   checkpoints/NAME/global_step_N/actor, of the last step where none is named
out:  models/NAME-step-N, whole or not at all: configuration, weights in bfloat16, tokenizer, and a note of
      where they come from, writing_rl.json

It needs no GPU, and memory for two copies of the model.

examples:
  writing-rl export --experiment my-writer
  writing-rl export --experiment my-writer --step 200 --output /data/models/my-writer
"""

from __future__ import annotations

import argparse
from pathlib import Path

from writing_rl.cli import experiment_name, shown
from writing_rl.util.folders import output_folder

INTERRUPTED = "Nothing was written."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    from writing_rl.cli.judge_options import positive

    add = parser.add_argument
    name = experiment_name()
    add("--experiment", default=name, metavar="NAME", help=f"(default: EXPERIMENT_NAME, here {shown(name)})")
    add("--step", type=positive, metavar="N", help="(default: the last one that was saved)")
    add("--output", type=Path, metavar="DIR", help="the folder (default: models/NAME-step-N)")
    add(
        "--checkpoints",
        type=Path,
        default=output_folder("checkpoints"),
        metavar="DIR",
        help="(default: %(default)s)",
    )
    add("--force", action="store_true", help="replace a folder that was exported before")


def run(arguments: argparse.Namespace) -> None:
    """Exports, and says what came of it."""
    from writing_rl.models.export import base_model_of, export, find_checkpoint, next_steps
    from writing_rl.util.console import say

    checkpoint = find_checkpoint(arguments.checkpoints, arguments.experiment, arguments.step)
    base_model = base_model_of(arguments.checkpoints, arguments.experiment)
    out = arguments.output or checkpoint.default_out
    contents = export(checkpoint, out, base_model, force=arguments.force)
    say(contents.describe(out))
    say(next_steps(out, contents, base_model))
