#!/usr/bin/env python3
"""Writes a checkpoint of a training as a folder that transformers and vLLM load, through verl's own merger.

in:   checkpoints/NAME/global_step_N/actor, of the last step where none is named
out:  models/NAME-step-N, whole or not at all: configuration, weights in bfloat16, tokenizer, and a note of
      where they come from, writing_rl.json

It needs no GPU, and memory for two copies of the model.

examples:
  python scripts/export_model.py --experiment my-writer
  python scripts/export_model.py --experiment my-writer --step 200 --out /data/models/my-writer
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from project_python import run_in_project


def main() -> None:
    from writing_rl.command import told_in_a_line

    arguments = make_parser().parse_args()
    with told_in_a_line(arguments.out or Path("models"), "Nothing was written."):
        export_model(arguments)


def make_parser() -> argparse.ArgumentParser:
    from writing_rl.judging.options import positive

    parser = argparse.ArgumentParser(
        prog="scripts/export_model.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    name = os.environ.get("EXPERIMENT_NAME") or "writing-rl"
    shown = name.replace("%", "%%")
    add("--experiment", default=name, metavar="NAME", help=f"(default: EXPERIMENT_NAME, here {shown})")
    add("--step", type=positive, metavar="N", help="(default: the last one that was saved)")
    add("--out", type=Path, metavar="DIR", help="the folder (default: models/NAME-step-N)")
    add("--checkpoints", type=Path, default=Path("checkpoints"), metavar="DIR", help="(default: %(default)s)")
    add("--force", action="store_true", help="replace a folder that was exported before")
    return parser


def export_model(arguments: argparse.Namespace) -> None:
    """Exports, and says what came of it."""
    from writing_rl.command import say
    from writing_rl.export import base_model_of, export, find_checkpoint, next_steps

    checkpoint = find_checkpoint(arguments.checkpoints, arguments.experiment, arguments.step)
    base_model = base_model_of(arguments.checkpoints, arguments.experiment)
    out = arguments.out or checkpoint.default_out
    contents = export(checkpoint, out, base_model, force=arguments.force)
    say(contents.describe(out))
    say(next_steps(out, contents, base_model))


if __name__ == "__main__":
    run_in_project()
    main()
