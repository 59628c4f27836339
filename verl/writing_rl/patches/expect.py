"""The check that every patch of third-party code makes before it patches."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from writing_rl.errors import SetupError


def expect(function: Callable[..., Any], *, contains: str, distribution: str, written_for: str) -> None:
    """Makes sure that a function still looks like the one that a patch was written for.

    Args:
        function: The third-party function about to be replaced.
        contains: A piece of its source that is the reason for the patch.
        distribution: Name of the distribution that it comes from.
        written_for: Version of that distribution that the patch was written for.

    Raises:
        SetupError: The piece is gone, so the patch may be wrong or no longer needed.
    """
    if contains in inspect.getsource(function):
        return
    raise SetupError(
        f"the patch of {function.__module__}.{function.__qualname__} was written for {distribution} "
        f"{written_for} and does not match the installed {version(distribution)}: install the versions of "
        "requirements.txt, or revise the patch in verl/writing_rl/"
    )
