"""The options of scripts that have texts graded."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from writing_rl.cli.judge_options import judge_settings, not_negative, own_parameters, positive

if TYPE_CHECKING:
    from writing_rl.data.grading import Grading

#: Temperature of a single grade, and of several, which would all be the same without one.
TEMPERATURE, TEMPERATURE_OF_SEVERAL = 0.0, 1.0


def add_grade_options(parser: argparse._ActionsContainer) -> None:
    """Adds how often and how a text is graded; who grades is an option of `add_judge_options`."""
    add = parser.add_argument
    samples = "grades of each judge for a text; their mean counts (default: %(default)s)"
    add("--grade-samples", type=positive, default=1, metavar="K", help=samples)
    temperature = f"(default: {TEMPERATURE:g} for one grade, {TEMPERATURE_OF_SEVERAL:g} for several)"
    add("--grade-temperature", type=not_negative, metavar="T", help=temperature)


def grading(arguments: argparse.Namespace) -> Grading:
    """How texts are graded, by these options and those of the judge.

    Raises:
        SettingError: No judge is named, or the template of `judge_prompts.py` cannot be used.
    """
    from writing_rl.data.grading import Grading
    from writing_rl.judging.grade import load_grade_templates

    temperature = arguments.grade_temperature
    if temperature is None:
        temperature = TEMPERATURE if arguments.grade_samples == 1 else TEMPERATURE_OF_SEVERAL
    own = own_parameters(temperature=(arguments.grade_temperature, None))
    judges = replace(judge_settings(arguments), temperature=temperature, own=own)
    return Grading(judges, load_grade_templates(), arguments.grade_samples, arguments.retry_unscored)
