"""Prompts from the keyboard, or from whatever is piped in."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
from collections.abc import Iterator

from writing_rl.data.prompt_files import Prompt

HINT = "A prompt ends with Enter; a line that ends in \\ goes on in the next one. Ctrl-D ends the session."


def typed() -> Iterator[Prompt]:
    """The prompts that are typed, until Ctrl-D or Ctrl-C, or the end of what is piped in."""
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        with contextlib.suppress(ImportError):
            import readline  # makes `input` edit the line

            # What is pasted is one prompt, whatever lines it has.
            readline.parse_and_bind("set enable-bracketed-paste on")
        print(HINT)
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    while (text := _prompt(is_terminal)) is not None:
        if text.strip():
            yield Prompt(text.strip(), None, {})


def _prompt(is_terminal: bool) -> str | None:
    """The next prompt; None at the end."""
    lines: list[str] = []
    if is_terminal:
        print()
    try:
        with _heeding_ctrl_c():
            while True:
                line = input(("... " if lines else "> ") if is_terminal else "")
                if not line.endswith("\\"):
                    return "\n".join((*lines, line))
                lines.append(line[:-1])
    except EOFError:
        return "\n".join(lines) if lines else None
    except KeyboardInterrupt:
        return None
    finally:
        if is_terminal:
            print(flush=True)


@contextlib.contextmanager
def _heeding_ctrl_c() -> Iterator[None]:
    """Lets Ctrl-C end the waiting for a line; asyncio heeds it only when its loop goes on."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
