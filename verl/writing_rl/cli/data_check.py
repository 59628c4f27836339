"""Check a training set, a test set and an index file, and describe them.

examples:
  writing-rl data check                       # train.parquet and test.parquet in DATA_DIR
  writing-rl data check --data-dir data/quickstart
  writing-rl data check --train my/train.parquet --index running_file/index_my-writer.json
  writing-rl data check --tokenizer Qwen/Qwen2.5-7B-Instruct --max-prompt-length 4096 \\
      --max-response-length 8192                     # tokens are counted, too
  writing-rl data check --strict && writing-rl train

Exit code: 0 if the data can be trained on, 1 if not (with --strict, also on warnings), 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from writing_rl.cli import UsageError, experiment_name
from writing_rl.util.folders import output_folder


def run(arguments: argparse.Namespace) -> None:
    """Prints a report; ends with exit code 1 where the data cannot be trained on."""
    files_named = arguments.train is not None or arguments.test is not None
    if files_named and arguments.data_dir is not None:
        raise UsageError("give either --data-dir, or --train and --test")
    if files_named and arguments.train is None and arguments.index is not None:
        raise UsageError("--index belongs to a training set: give --train, too")
    if arguments.tokenizer is None:
        for option in ("max_prompt_length", "max_response_length"):
            if getattr(arguments, option) is not None:
                raise UsageError(f"--{option.replace('_', '-')} is in tokens: give --tokenizer, too")
        for option in ("chat_template", "chat_template_kwargs"):
            if getattr(arguments, option) is not None:
                raise UsageError(
                    f"--{option.replace('_', '-')} belongs to a tokenizer: give --tokenizer, too"
                )

    from writing_rl.data.checking.check import Tokens, check
    from writing_rl.dataset.chat_template import ChatTemplate, load_tokenizer
    from writing_rl.util.console import say

    logging.getLogger("writing_rl").addHandler(logging.NullHandler())  # the report says it, too
    if not files_named:
        folder = arguments.data_dir or Path(os.environ.get("DATA_DIR") or "data")
        arguments.train, arguments.test = folder / "train.parquet", folder / "test.parquet"
    index = arguments.index
    if index is None:
        usual = output_folder("running_file") / f"index_{arguments.experiment}.json"
        index = usual if usual.exists() else None
    tokens = None
    if arguments.tokenizer is not None:
        custom = arguments.chat_template
        template = ChatTemplate.make(
            load_tokenizer(arguments.tokenizer, "--tokenizer"),
            arguments.chat_template_kwargs,
            None if custom is None else custom.read_text(encoding="utf-8"),
            model=f"--tokenizer {arguments.tokenizer}",
        )
        tokens = Tokens(
            template.tokenizer,
            arguments.max_prompt_length,
            arguments.max_response_length,
            template.arguments,
        )
    report = check(arguments.train, arguments.test, index, tokens, needs_test=files_named)
    say("\n".join(report.lines()))
    sys.exit(bool(report.errors or (arguments.strict and report.warnings)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    data_dir = (os.environ.get("DATA_DIR") or "data").replace("%", "%%")
    parser.add_argument(
        "--data-dir",
        type=Path,
        help=f"folder of train.parquet and test.parquet (default: DATA_DIR, here {data_dir})",
    )
    parser.add_argument("--train", type=Path, metavar="FILE", help="a training set, instead of --data-dir")
    parser.add_argument("--test", type=Path, metavar="FILE", help="a test set, instead of --data-dir")
    parser.add_argument(
        "--index",
        type=Path,
        metavar="FILE",
        help="the index file of the training set (default: the experiment's in running_file, if it exists)",
    )
    parser.add_argument(
        "--experiment",
        default=experiment_name(),
        help="name of the experiment (default: EXPERIMENT_NAME, here %(default)s)",
    )
    parser.add_argument(
        "--tokenizer", metavar="PATH", help="count tokens with this checkpoint's tokenizer (default: do not)"
    )
    parser.add_argument(
        "--max-prompt-length", type=_positive, metavar="N", help="data.max_prompt_length (default: no limit)"
    )
    parser.add_argument(
        "--max-response-length",
        type=_positive,
        metavar="N",
        help="data.max_response_length (default: no limit)",
    )
    parser.add_argument(
        "--chat-template",
        type=Path,
        metavar="FILE",
        help="the template in actor_rollout_ref.model.custom_chat_template (default: the tokenizer's)",
    )
    parser.add_argument(
        "--chat-template-kwargs",
        type=_json_object,
        metavar="JSON",
        help="data.apply_chat_template_kwargs, such as '{\"enable_thinking\": false}' (default: none)",
    )
    parser.add_argument("--strict", action="store_true", help="take warnings for errors")


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("it must be a JSON object")
    return value


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"it is {text}, it must be a whole number of at least 1")
    return int(text)
