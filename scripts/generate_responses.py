#!/usr/bin/env python3
"""Has models write a response to each prompt of a file.

The prompts are JSON lines, CSV or parquet (by the file's name), with a field `prompt` and, if wanted,
criteria, source and system; a training set (train.parquet) will do as well. Models:

  gpt-4.1                        at OpenAI, or at --base_url; qwen... at DashScope
  my-model@http://host:8000/v1   at an endpoint of its own, which is told no key
  path/to/checkpoint             served here by vLLM, for as long as it writes, one after the other, each on
                                 the GPU with the most free memory (or on several, if it needs them)
  vllm:Qwen/Qwen3-8B             likewise, from the hub

The output, JSON lines, is what scripts/prepare_data.py reads. Started again with the same output, the script
goes on where it stopped and pays for nothing twice; models and prompts may be added. How the lines were made
stands beside them in NAME.made.json. Exit code: 0, or 1 on errors and where there is not a single response.

examples:
  python scripts/generate_responses.py prompts.jsonl --models gpt-4.1-mini,gpt-4.1 --max_cost_usd 5
  python scripts/generate_responses.py prompts.csv --prompt_column instruction --models outputs/my-model
  python scripts/generate_responses.py prompts.jsonl --models my-model@http://localhost:8000/v1 --samples 4
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from project_python import run_in_project


def main() -> None:
    from writing_rl.command import told_in_a_line

    arguments = make_parser().parse_args()
    with told_in_a_line(arguments.output, "What was written is kept; the same command goes on."):
        asyncio.run(generate_file(arguments))


def make_parser() -> argparse.ArgumentParser:
    from writing_rl.data.generate import SYSTEM
    from writing_rl.judging.options import add_asking_options, not_negative, positive

    parser = argparse.ArgumentParser(
        prog="scripts/generate_responses.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("input", type=Path, help="the prompts: .jsonl, .csv or .parquet")
    add("--models", required=True, metavar="A,B,...", help="who writes")
    add("--output", type=Path, default=Path("data/responses.jsonl"), help="(default: %(default)s)")
    add(
        "--prompt_column", default="prompt", metavar="NAME", help="field of the prompt (default: %(default)s)"
    )
    add(
        "--samples",
        type=positive,
        default=1,
        help="responses of each model to a prompt (default: %(default)s)",
    )
    system = "system message of prompts without their own; '' for none (default: %(default)s)"
    add("--system", default=SYSTEM, metavar="TEXT", help=system)
    add("--temperature", type=not_negative, default=0.7, help="(default: %(default)s)")
    add("--max_tokens", type=positive, default=4096, help="most tokens of a response (default: %(default)s)")
    timeout = "seconds after which a request is given up (default: %(default)s)"
    add("--timeout_s", type=positive, default=900, metavar="S", help=timeout)
    add(
        "--vllm_args",
        type=shlex.split,
        default="",
        metavar="'...'",
        help="more of vLLM's options for checkpoints, such as --vllm_args='--max-model-len 8192'",
    )
    add("--retry_failed", action="store_true", help="ask again for what an earlier start could not get")
    add_asking_options(parser)
    return parser


async def generate_file(arguments: argparse.Namespace) -> None:
    """Has written what is not written yet, and says what came of all of it."""
    from writing_rl.command import say
    from writing_rl.data.generate import (
        Generation,
        calls_of,
        count_prompts,
        generate,
        nothing_written,
        summary,
    )
    from writing_rl.data.prompt_files import read_prompts
    from writing_rl.data.writers import parse_writers
    from writing_rl.errors import DataError
    from writing_rl.judging.call_forecast import announce
    from writing_rl.judging.make import make_channel
    from writing_rl.judging.options import asking_settings, own_parameters

    settings = replace(
        asking_settings(arguments),
        temperature=arguments.temperature,
        max_tokens=arguments.max_tokens,
        own=own_parameters(temperature=(arguments.temperature, 0.7), max_tokens=(arguments.max_tokens, 4096)),
        request_timeout_s=arguments.timeout_s,
        deadline_s=2 * arguments.timeout_s,
    )
    generation = Generation(
        parse_writers(arguments.models),
        settings,
        arguments.samples,
        arguments.system,
        arguments.vllm_args,
        arguments.retry_failed,
    )
    prompts = read_prompts(arguments.input, arguments.prompt_column)
    with generation.stage(arguments.output, [arguments.input]) as stage:
        say(
            f"{len(prompts):,} prompts, {count_prompts(prompts, generation):,} responses in all; "
            f"{len(stage.found):,} answers are there already",
            file=sys.stderr,
        )
        announce([calls_of(prompts, generation, stage)], settings.limits)
        try:
            await generate(prompts, generation, make_channel(settings, learns=False), stage)
        finally:
            say(summary(prompts, generation, stage, arguments.output))
        if why := nothing_written(stage.found.values()):
            raise DataError(f"no response could be had; the last: {why} ({arguments.output})")
    say(f"Next: python scripts/prepare_data.py {shlex.quote(str(arguments.output))} --scores grade")


if __name__ == "__main__":
    run_in_project()
    main()
