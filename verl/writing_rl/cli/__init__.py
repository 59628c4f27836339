"""The command `writing-rl`: a module for each subcommand, which is imported when it is asked for.

A module has a docstring (its help), `add_arguments(parser)` and `run(arguments)`, and may have `INTERRUPTED`,
which is said after Ctrl-C, and `ERROR_CODE`, the exit code of a failure.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, NoReturn

from writing_rl import __version__


class UsageError(Exception):
    """Options that do not go together; the command ends with its usage and exit code 2."""


class Command(NamedTuple):
    """A subcommand: its module in this package, and a line for the overview."""

    module: str
    says: str


COMMANDS: Mapping[str, Command] = {
    "quickstart": Command("quickstart", "make a small data set and a tiny model, to train on a CPU"),
    "train": Command("train", "train a writer; also --smoke, --rehearse and --dry-run"),
    "data generate": Command("data_generate", "generate responses to prompts with one or more models"),
    "data prepare": Command("data_prepare", "make a training set from prompts with responses"),
    "data select": Command("data_select", "keep the samples from which the policy can learn most"),
    "data check": Command("data_check", "check and describe a data set and its index file"),
    "judge calibrate": Command("judge_calibrate", "measure how far a judge agrees with people"),
    "judge pairs": Command("judge_pairs", "judge a file of pairs of texts"),
    "index create": Command("index_create", "make, complete or reset the reference index file"),
    "index show": Command("index_show", "show where samples stand, and how they came there"),
    "index set": Command("index_set", "change reference indexes by hand"),
    "index diff": Command("index_diff", "show the differences between two states"),
    "index history": Command("index_history", "show what each step did, or every change of a sample"),
    "report": Command("report", "make an HTML page of one or more trainings"),
    "export": Command("export", "write a checkpoint as a folder that transformers and vLLM load"),
    "chat": Command("chat", "write with two models side by side, and have a judge compare"),
    "ablation": Command("ablation", "rerun the paper's comparison on the quick start's data"),
    "benchmark reward": Command("benchmark_reward", "measure the judge path"),
    "benchmark data": Command("benchmark_data", "measure the way from prompts to a training set"),
    "benchmark index": Command("benchmark_index", "measure the curriculum's state"),
    "benchmark report": Command("benchmark_report", "measure the making of a report"),
}
GROUPS = {name.partition(" ")[0] for name in COMMANDS if " " in name}
HELP = ("-h", "--help")


def main(words: Sequence[str] | None = None) -> None:
    """Runs the subcommand that the command line names.

    Args:
        words: The command line; None for that of this process.

    Raises:
        SystemExit: At the end of a command that failed, asked for help or was called wrongly.
    """
    words = list(sys.argv[1:] if words is None else words)
    name, rest = _command(words)
    command = importlib.import_module(f"writing_rl.cli.{COMMANDS[name].module}")
    parser = argparse.ArgumentParser(
        prog=f"writing-rl {name}",
        description=command.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    arguments = parser.parse_args(hyphenated(rest))

    from writing_rl.util.console import exit_with_message
    from writing_rl.util.experiment_name import check_experiment

    output = getattr(arguments, "output", None)
    code = getattr(command, "ERROR_CODE", 1)
    with exit_with_message(output, getattr(command, "INTERRUPTED", ""), code):
        # The one place where names that become paths are checked, for all commands.
        names = getattr(arguments, "experiment", None)
        for experiment in [names] if isinstance(names, str) else names or []:
            check_experiment(experiment, "--experiment (EXPERIMENT_NAME)")
        try:
            command.run(arguments)
        except UsageError as error:
            parser.error(str(error))


def hyphenated(words: Iterable[str]) -> list[str]:
    """A command line whose options are spelt with hyphens: `--max-tokens=80` becomes `--max-tokens=80`."""

    def spelt(word: str) -> str:
        name, equals, value = word.partition("=")
        return f"{name.replace('_', '-')}{equals}{value}" if word.startswith("--") else word

    words = list(words)
    end = words.index("--") if "--" in words else len(words)
    return [*map(spelt, words[:end]), *words[end:]]


def experiment_name() -> str:
    """The experiment's name where the command line gives none."""
    return os.environ.get("EXPERIMENT_NAME") or "writing-rl"


def shown(text: object) -> str:
    """A text as argparse shows it in a help: percent signs are its own."""
    return str(text).replace("%", "%%")


def _command(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The subcommand's name, and the words after it."""
    if words[:1] == ["--version"]:
        print(f"writing-rl {__version__}")
        sys.exit()
    if not words or words[0] in HELP:
        _show(COMMANDS, asked_for=bool(words))
    group = words[0]
    if group not in GROUPS:
        return (group, words[1:]) if group in COMMANDS else _unknown(group, [*COMMANDS, *GROUPS])
    name = " ".join(words[:2])
    if len(words) == 1 or words[1] in HELP:
        members = {name: command for name, command in COMMANDS.items() if name.startswith(f"{group} ")}
        _show(members, asked_for=len(words) > 1)
    return (name, words[2:]) if name in COMMANDS else _unknown(name, COMMANDS)


def _show(commands: Mapping[str, Command], *, asked_for: bool) -> NoReturn:
    """Ends with an overview: for who asked for help, or for who named no command."""
    lines = [f"  {name:<17} {command.says}" for name, command in commands.items()]
    overview = "\n".join(
        [
            "usage: writing-rl COMMAND [options]; writing-rl COMMAND --help says more",
            "",
            *lines,
            "",
            "Reinforcement learning of long-form writing on verl. Options take hyphens or underscores.",
            "Logs, checkpoints, index files and exported models go below OUTPUT_DIR (default: this folder).",
        ]
    )
    print(overview, file=sys.stdout if asked_for else sys.stderr)
    sys.exit(0 if asked_for else 2)


def _unknown(name: str, known: Iterable[str]) -> NoReturn:
    near = difflib.get_close_matches(name, list(known), 1)
    guess = f": did you mean {near[0]}?" if near else ": see writing-rl --help"
    print(f"writing-rl: there is no command {name!r}{guess}", file=sys.stderr)
    sys.exit(2)
