"""How scripts speak: what they print is safe for a terminal, and a mistake is one line, not a traceback."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from writing_rl.errors import SettingError, UserError
from writing_rl.util.redact import printable


def for_terminal(text: object) -> str:
    """A text, line by line, without what a terminal would obey: see `redact.printable`."""
    return "\n".join(printable(line) for line in str(text).split("\n"))


def say(text: object = "", *, file: TextIO | None = None, end: str = "\n", flush: bool = True) -> None:
    """Prints a text that may quote data, models or providers.

    Args:
        text: One or several lines.
        file: Where to; None for standard output.
        end: What follows the text.
        flush: Whether it is shown at once.
    """
    file = sys.stdout if file is None else file
    if isinstance(file, io.TextIOWrapper):
        file.reconfigure(errors="backslashreplace")  # the terminal may not know all of Unicode
    print(for_terminal(text), file=file, end=end, flush=flush)


def error_line(error: Exception, output: Path | None = None) -> str:
    """What a script says of an error that ends it: one line, or one for each wrong setting.

    Args:
        error: What happened.
        output: What is written, for failures of the system that name no file.
    """
    if isinstance(error, OSError):
        return printable(f"Error: {error.filename or output or 'input or output'}: {error.strerror or error}")
    # Several settings that are wrong are a line each.
    lines = str(error).split("\n") if isinstance(error, SettingError) else [str(error)]
    return "\n".join(printable(f"Error: {line}") for line in lines)


@contextlib.contextmanager
def exit_with_message(output: Path | None = None, interrupted: str = "", code: int = 1) -> Iterator[None]:
    """Ends the script with one line where the work in this context fails or is interrupted.

    Args:
        output: What is written, for failures of the system that name no file.
        interrupted: What is said after Ctrl-C, such as that the next start goes on.
        code: The exit code of a failure.
    """
    try:
        yield
    except (UserError, OSError) as error:
        if code == 1:
            sys.exit(error_line(error, output))
        say(error_line(error, output), file=sys.stderr)
        sys.exit(code)
    except UnicodeEncodeError:
        sys.exit("Error: an argument or a file's name is not UTF-8: write it in UTF-8")
    except KeyboardInterrupt:
        say(f"\nInterrupted{'. ' + interrupted if interrupted else ''}", file=sys.stderr)
        sys.exit(130)
