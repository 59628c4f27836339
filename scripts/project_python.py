"""Runs a script in the project's environment, whatever Python has started it.

`scripts/project_python.sh` says which environment that is. Standard library only, since the system's own
Python may be the one that starts a script.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys


def run_in_project() -> None:
    """Replaces this process by the same command in the project's environment, unless it runs there already.

    A Python that has the project installed, such as that of an active environment, is kept unless
    `WRITING_RL_PYTHON` names another one.
    """
    installed = importlib.util.find_spec("writing_rl") is not None
    if installed and not os.environ.get("WRITING_RL_PYTHON"):
        return
    finder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "project_python.sh")
    answer = subprocess.run(["bash", finder], stdout=subprocess.PIPE, text=True, check=False)
    if answer.returncode != 0:
        sys.exit(1)  # it has said why
    python = answer.stdout.rstrip("\n")
    # Not their names: one Python may be a link or a script that starts the other (pyenv, conda).
    if _environment_of(python) == (str(sys.hexversion), os.path.realpath(sys.prefix)):
        if not installed:
            sys.exit(f"Error: Writing-RL is not installed in {python}: run bash scripts/setup_env.sh")
        return
    print(f"[writing-rl] using {python}", file=sys.stderr, flush=True)
    os.execv(python, [python, *sys.argv])


def _environment_of(python: str) -> tuple[str, str]:
    """Version and folder of the environment that this Python runs in."""
    command = [python, "-c", "import sys; print(sys.hexversion, sys.prefix)"]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if answer.returncode != 0:
        sys.exit(f"Error: {python} cannot be run: remove its environment and run bash scripts/setup_env.sh")
    version, _, folder = answer.stdout.rstrip("\n").partition(" ")
    return version, os.path.realpath(folder)
