"""Write with a trained model and its base model side by side, and have a judge compare the texts.

Prompts are typed, given with --prompt, or come from a file (.jsonl, .csv, .parquet), such as a test set.
The models:

  --experiment NAME [--step N]   a checkpoint of a training, exported to models/ first, and what it began with
  --model A --against B          any two: a folder, vllm:Qwen/Qwen3-8B, name@http://host:8000/v1, gpt-4.1

The judge reads each pair in both orders; where they disagree, it is a tie. Folders are served by vLLM for as
long as the session lasts, each on the GPU with the most free memory. On a single GPU, two divide it; where it
has no room for both, one writes to the prompts that are given, and then the other, as with --one-at-a-time.
What --vllm-args says of memory and GPUs counts.

examples:
  writing-rl chat --experiment my-writer --judge qwen-plus --explain
  writing-rl chat --experiment my-writer --step 200 --prompts data/test.parquet --output chat.jsonl
  writing-rl chat --model models/ppo-step-405 --against models/grpo-step-405 --prompt "Write a fable."
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from writing_rl.cli import UsageError
from writing_rl.util.folders import output_folder


def run(arguments: argparse.Namespace) -> None:
    """Runs a session."""
    _check(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # models write what not every terminal can show
    # Ctrl-C is a way to end a session, which has told what came of it by then.
    with contextlib.suppress(KeyboardInterrupt):
        _chat(arguments)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    from writing_rl.cli.judge_options import add_asking_options, not_negative, positive
    from writing_rl.dataset.system_message import SYSTEM

    who = parser.add_argument_group("who writes")
    models = who.add_mutually_exclusive_group(required=True)
    models.add_argument("--experiment", metavar="NAME", help="a training's checkpoint and its base model")
    models.add_argument("--model", metavar="A", help="a model")
    who.add_argument("--against", metavar="B", help="the other model, with --model")
    who.add_argument("--step", type=positive, metavar="N", help="(default: the last one that was saved)")
    base = "base model, with --experiment (default: as the training's log says)"
    who.add_argument("--base", metavar="B", help=base)
    folder = "(default: %(default)s)"
    who.add_argument(
        "--checkpoints", type=Path, default=output_folder("checkpoints"), metavar="DIR", help=folder
    )
    what = parser.add_argument_group("what is written")
    source = what.add_mutually_exclusive_group()
    source.add_argument("--prompt", metavar="TEXT", help="one prompt")
    source.add_argument("--prompts", type=Path, metavar="FILE", help="a file of prompts")
    column = "field of the prompt (default: %(default)s)"
    what.add_argument("--prompt-column", default="prompt", metavar="NAME", help=column)
    system = "system message of prompts without their own; '' for none (default: %(default)s)"
    what.add_argument("--system", default=SYSTEM, metavar="TEXT", help=system)
    what.add_argument("--temperature", type=not_negative, default=0.7, help="(default: %(default)s)")
    most = "most tokens of a text (default: 4096, or half of what a checkpoint can hold)"
    what.add_argument("--max-tokens", type=positive, metavar="N", help=most)
    timeout = "seconds after which a request is given up (default: %(default)s)"
    what.add_argument("--timeout-s", type=positive, default=900, metavar="S", help=timeout)
    more = "more of vLLM's options for checkpoints, in one argument"
    what.add_argument("--vllm-args", type=shlex.split, default="", metavar="'...'", help=more)
    turns = "one model writes to all prompts, then the other, then they are judged"
    what.add_argument("--one-at-a-time", action="store_true", help=turns)
    output = "adds prompts, texts and verdicts to this file, JSON lines"
    what.add_argument("--output", type=Path, metavar="FILE.jsonl", help=output)
    judged = parser.add_argument_group("who judges, and how models are asked")
    judge = "model, several (a,b,c), or `offline` (default: JUDGE_MODEL, else nobody judges)"
    judged.add_argument("--judge", default=os.environ.get("JUDGE_MODEL"), help=judge)
    judged.add_argument("--explain", action="store_true", help="show the judge's words, too")
    add_asking_options(judged)


def _check(arguments: argparse.Namespace) -> None:
    """Raises `UsageError` where options do not go together."""
    if arguments.model and not arguments.against:
        raise UsageError("--model needs --against")
    if arguments.experiment and arguments.against:
        raise UsageError("--against goes with --model; the base model of an experiment is --base")
    if arguments.model and (arguments.step or arguments.base):
        raise UsageError("--step and --base go with --experiment")
    if arguments.one_at_a_time and arguments.prompt is None and arguments.prompts is None:
        raise UsageError("--one-at-a-time needs --prompts or --prompt")
    if arguments.explain and not arguments.judge:
        raise UsageError("--explain needs --judge")


def _chat(arguments: argparse.Namespace) -> None:
    """Finds models and prompts, and runs the session."""
    from writing_rl.chat.contestants import longest_text, of_experiment, of_names
    from writing_rl.chat.session import Session
    from writing_rl.cli.judge_options import asking_settings, own_parameters
    from writing_rl.data.generate import Generation
    from writing_rl.data.prompt_files import Prompt, read_prompts
    from writing_rl.errors import SettingError
    from writing_rl.judging.settings import model_names
    from writing_rl.judging.verdict import Strategy

    prompts = None
    if arguments.prompts:
        prompts = read_prompts(arguments.prompts, arguments.prompt_column)
        if arguments.output and arguments.output.exists() and arguments.output.samefile(arguments.prompts):
            raise SettingError(f"--output is the file of the prompts, {arguments.prompts}: name another")
    elif arguments.prompt is not None:
        if not arguments.prompt.strip():
            raise SettingError("--prompt is empty")
        prompts = [Prompt(arguments.prompt, None, {})]
    asking = asking_settings(arguments)
    judge = None
    if arguments.judge:
        judge = replace(asking, models=model_names(arguments.judge), strategy=Strategy.BOTH)
    if arguments.experiment:
        writers = of_experiment(arguments.checkpoints, arguments.experiment, arguments.step, arguments.base)
    else:
        writers = of_names(arguments.model, arguments.against)
    writing = replace(
        asking,
        temperature=arguments.temperature,
        max_tokens=arguments.max_tokens or longest_text(writers),
        own=own_parameters(temperature=(arguments.temperature, 0.7), max_tokens=(arguments.max_tokens, None)),
        request_timeout_s=arguments.timeout_s,
        deadline_s=2 * arguments.timeout_s,
    )
    generation = Generation(writers, writing, 1, arguments.system, arguments.vllm_args)
    session = Session(
        generation, judge, prompts, arguments.one_at_a_time, arguments.explain, arguments.output
    )
    asyncio.run(session.run())
