"""How scripts end: a mistake is one line, not a traceback."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from writing_rl.errors import UserError


@contextlib.contextmanager
def told_in_a_line(output: Path, interrupted: str = "") -> Iterator[None]:
    """Ends the script with one line where the work in this context fails or is interrupted.

    Args:
        output: What is written, for failures of the system that name no file.
        interrupted: What is said after Ctrl-C, such as that the next start goes on.
    """
    try:
        yield
    except UserError as error:
        sys.exit(f"Error: {error}")
    except OSError as error:
        sys.exit(f"Error: {error.filename or output}: {error.strerror or error}")
    except KeyboardInterrupt:
        print(f"\nInterrupted{'. ' + interrupted if interrupted else ''}", file=sys.stderr)
        sys.exit(130)
