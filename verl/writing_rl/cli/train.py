"""Train a writer: verl's PPO or GRPO, vLLM rollouts, a pairwise judge, a curriculum of references.

Without BASE_MODEL it is the quick start: a small data set and a small model, trained on the CPU. With it, the
data are train.parquet and test.parquet in DATA_DIR. Run it again to resume. Settings of the environment:

  BASE_MODEL        checkpoint folder or hub name
  DATA_DIR          folder of the data (data, or data/quickstart)
  EXPERIMENT_NAME   names logs, checkpoints and index file (writing-rl, or quickstart-<time>)
  PROFILE           original, gpu, gpu_grpo, gpu_lora, gpu_small or cpu (by GPUs, memory and model)
  JUDGE_MODEL       model of the judge, or `offline`; needed with a model of your own
  REWARD_STRATEGY   position-disadvantage, position-advantage or position-both
  API_PARALLEL      judge requests in flight over the whole run (64)
  OUTPUT_DIR        where logs, checkpoints, running_file and models are (the current folder)
  WANDB_PROJECT     wandb logs only where WANDB_API_KEY is set
  QUICKSTART_SEED   of the quick start's texts, model and rollouts
  VERBOSE           1: show everything, not only the lines that matter

Read where they are needed: OPENAI_BASE_URL, PPO_MAX_TOKEN_LEN_PER_GPU; and, never passed on, OPENAI_API_KEY,
DASHSCOPE_API_KEY and WANDB_API_KEY. Every other word is a Hydra override: docs/settings.md.

examples:
  writing-rl train                             # the quick start
  BASE_MODEL=Qwen/Qwen2.5-7B-Instruct JUDGE_MODEL=qwen-plus EXPERIMENT_NAME=my-writer writing-rl train
  PROFILE=gpu_grpo BASE_MODEL=... writing-rl train --rehearse
  writing-rl train trainer.total_training_steps=36 writing_rl.judge.max_retries=3
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import datetime, timezone

from writing_rl.cli import UsageError
from writing_rl.util.gpus import visible_gpus


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add = parser.add_argument
    kind = parser.add_mutually_exclusive_group()
    smoke = "try the profile with a tiny model: two steps, checkpoint, resume, export, in five minutes"
    kind.add_argument("--smoke", action="store_true", help=smoke)
    rehearse = "three steps of this very run in a folder of its own: memory, times, and what all of it takes"
    kind.add_argument("--rehearse", action="store_true", help=rehearse)
    dry_run = "print the command that would train, and stop"
    kind.add_argument("--dry-run", action="store_true", help=dry_run)
    calls = "real questions to the judge for the rehearsal's forecast (1); means --rehearse"
    add("--rehearse-judge-calls", type=_positive, metavar="N", help=calls)
    add("overrides", nargs="*", metavar="OVERRIDE", help="Hydra overrides, such as profile=gpu")


def run(arguments: argparse.Namespace) -> None:
    """Trains, or does what an option asks for in its place."""
    from writing_rl.launch.train import Plan, set_variables, train

    if unknown := [word for word in arguments.overrides if "=" not in word and not word.startswith("~")]:
        raise UsageError(f"{unknown[0]!r} is not a Hydra override (name=value)")
    calls = arguments.rehearse_judge_calls
    if calls and (arguments.smoke or arguments.dry_run):
        raise UsageError("--rehearse-judge-calls goes with --rehearse")
    if arguments.smoke:
        profile = os.environ.get("PROFILE")
        _become("writing_rl.launch.smoke", *(["--profile", profile] if profile else []), *arguments.overrides)
    now = datetime.now(timezone.utc)
    plan = Plan.of_environment(arguments.overrides, os.environ, now, has_gpus=bool(visible_gpus()))
    if arguments.dry_run:
        print(plan.shown())
        return
    set_variables(plan)

    from writing_rl.launch.compose import check_addresses

    check_addresses(arguments.overrides)  # before anything is written
    if arguments.rehearse or calls:
        plan.prepare()
        _become(
            "writing_rl.launch.rehearsal", *(["--judge-calls", str(calls)] if calls else []), *plan.overrides
        )
    sys.exit(train(plan, verbose=bool(os.environ.get("VERBOSE"))))


def _become(module: str, *words: str) -> None:
    """Goes on as another program."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *words])


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"it is {text!r}: give a number of questions")
    return int(text)
