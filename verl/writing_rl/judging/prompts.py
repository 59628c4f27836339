"""Loading and filling the judge templates of `verl.utils.reward_score.judge_prompts`, which users edit."""

from __future__ import annotations

import hashlib
import re
import runpy
from collections.abc import Mapping
from pathlib import Path

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


def fingerprint(*templates: str) -> str:
    """What tells some templates from others, as a SHA-256 in hexadecimal digits."""
    return hashlib.sha256("\0".join(templates).encode("utf-8", "replace")).hexdigest()


def load(*names: str) -> list[str]:
    """Templates of `judge_prompts.py`, for programs that need nothing of verl.

    Importing the file under its own name would import verl, which takes seconds.

    Args:
        names: Which.

    Raises:
        SettingError: One is not there, as in a copy of the file from an older version.
    """
    package = Path(__file__).parents[1]  # `verl/writing_rl` in the repository, `writing_rl` where installed
    places = (package.parent / "utils", package.parent / "verl" / "utils")
    files = [place / "reward_score" / "judge_prompts.py" for place in places]
    file = next(file for file in files if file.is_file())
    found = runpy.run_path(str(file))
    if missing := [name for name in names if not isinstance(found.get(name), str)]:
        raise SettingError(
            f"{file} lacks the template {', '.join(missing)}: take it from the project's own file"
        )
    return [found[name] for name in names]
