"""Filling the judge templates of `verl.utils.reward_score.judge_prompts`, which users edit."""

from __future__ import annotations

import re
from collections.abc import Mapping

from writing_rl.errors import SettingError

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


def check_template(name: str, template: str, required: frozenset[str]) -> None:
    """Makes sure that a template asks for everything that a judge must see.

    Raises:
        SettingError: A placeholder is missing; the message names template and placeholder.
    """
    missing = sorted(required - set(_PLACEHOLDER.findall(template)))
    if missing:
        raise SettingError(
            f"template {name} in verl/utils/reward_score/judge_prompts.py lacks the placeholder "
            + ", ".join(f"{{{key}}}" for key in missing)
        )


def fill(template: str, values: Mapping[str, str]) -> str:
    """Puts values into a template, in one pass.

    Only placeholders that `values` names are replaced, and what is put in is not looked at again: braces in a
    template or in a text, and a text that itself holds `{answer_b}`, stay as they are.
    """
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), template)
