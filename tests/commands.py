"""Runs `writing-rl` for tests: in this process, which takes milliseconds, or in one of its own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

from writing_rl.cli import main

#: The command in a process of its own, for tests of kills, terminals and broken pipes.
COMMAND = (sys.executable, "-m", "writing_rl.cli")


def writing_rl(
    *words: object, cwd: Path | str | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command in this process.

    Args:
        words: The subcommand and its arguments.
        cwd: Where.
        env: The whole environment; None for this one.

    Returns:
        Its exit code, and what it said.
    """
    out, err = io.StringIO(), io.StringIO()
    command = [str(word) for word in words]
    code: object = 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        stack.enter_context(contextlib.chdir(cwd or "."))
        if env is not None:
            stack.enter_context(mock.patch.dict(os.environ, env, clear=True))
        try:
            main(command)
        except SystemExit as end:
            code = end.code
    said = f"{code}\n" if isinstance(code, str) else ""
    status = 1 if said else int(code or 0)  # type: ignore[call-overload]
    return subprocess.CompletedProcess(command, status, out.getvalue(), err.getvalue() + said)
