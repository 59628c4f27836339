"""Whether Python and the installed packages are those that this code was written for."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, distribution, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from writing_rl.errors import SetupError

OURS = "writing-rl"
REMEDY = "run scripts/setup_env.sh, which makes .venv"


def check_versions(profile: str) -> None:
    """Checks Python and everything that `setup.py` asks for.

    Args:
        profile: `cpu` or `gpu`, the name of an extra in `setup.py`.

    Raises:
        SetupError: Something is missing or has another version; the message names both.
    """
    try:
        ours = distribution(OURS)
    except PackageNotFoundError:
        raise SetupError(f"{OURS} is not installed: {REMEDY}") from None
    check_version("Python", platform.python_version(), ours.metadata["Requires-Python"])
    for line in ours.requires or []:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": profile}):
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            raise SetupError(f"{requirement.name} is not installed: {REMEDY}") from None
        check_version(requirement.name, installed, str(requirement.specifier))


def check_version(name: str, installed: str, wanted: str) -> None:
    """Checks one version.

    Raises:
        SetupError: It is not one of those that are wanted.
    """
    if not SpecifierSet(wanted).contains(installed, prereleases=True):
        raise SetupError(f"{name} is {installed}, but {wanted} is needed: {REMEDY}")
