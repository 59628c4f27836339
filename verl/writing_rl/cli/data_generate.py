"""Generate responses to a file of prompts with one or more models.

The prompts are JSON lines, CSV or parquet (by the file's name), with a field `prompt` and, if wanted,
criteria, source and system; a training set (train.parquet) will do as well. Models:

  gpt-4.1                        at OpenAI, or at --base-url; qwen... at DashScope
  my-model@http://host:8000/v1   at an endpoint of its own, which is told no key
  path/to/checkpoint             served here by vLLM, for as long as it writes, one after the other, each on
                                 the GPU with the most free memory (or on several, if it needs them)
  vllm:Qwen/Qwen3-8B             likewise, from the hub

The output, JSON lines, is what `writing-rl data prepare` reads. Started again with the same output, it
goes on where it stopped and pays for nothing twice; models and prompts may be added. How the lines were made
stands beside them in NAME.made.json. Exit code: 0, or 1 on errors and where there is not a single response.

examples:
  writing-rl data generate prompts.jsonl --models gpt-4.1-mini,gpt-4.1 --max-cost-usd 5
  writing-rl data generate prompts.csv --prompt-column instruction --models outputs/my-model
  writing-rl data generate prompts.jsonl --models my-model@http://localhost:8000/v1 --samples 4
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
from dataclasses import replace
from pathlib import Path

INTERRUPTED = "What was written is kept; the same command goes on."


def run(arguments: argparse.Namespace) -> None:
    """Generates what is not written yet, and says what came of all of it."""
    asyncio.run(_generate_file(arguments))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    from writing_rl.cli.judge_options import add_asking_options, not_negative, positive
    from writing_rl.dataset.system_message import SYSTEM

    add = parser.add_argument
    add("input", type=Path, help="the prompts: .jsonl, .csv or .parquet")
    add("--models", required=True, metavar="A,B,...", help="who writes")
    add("--output", type=Path, default=Path("data/responses.jsonl"), help="(default: %(default)s)")
    add(
        "--prompt-column", default="prompt", metavar="NAME", help="field of the prompt (default: %(default)s)"
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
    add("--max-tokens", type=positive, default=4096, help="most tokens of a response (default: %(default)s)")
    timeout = "seconds after which a request is given up (default: %(default)s)"
    add("--timeout-s", type=positive, default=900, metavar="S", help=timeout)
    add(
        "--vllm-args",
        type=shlex.split,
        default="",
        metavar="'...'",
        help="more of vLLM's options for checkpoints, such as --vllm-args='--max-model-len 8192'",
    )
    add("--retry-failed", action="store_true", help="ask again for what an earlier start could not get")
    add_asking_options(parser)


async def _generate_file(arguments: argparse.Namespace) -> None:
    from writing_rl.cli.judge_options import asking_settings, own_parameters
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
    from writing_rl.judging.factory import make_channel
    from writing_rl.util.console import say

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
    say(f"Next: writing-rl data prepare {shlex.quote(str(arguments.output))} --scores grade")
