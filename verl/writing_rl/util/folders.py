"""Where runs leave what they leave."""

from __future__ import annotations

import os
from pathlib import Path

#: The folder of logs, checkpoints, index files and exported models; empty for the current one.
VARIABLE = "OUTPUT_DIR"


def output_folder(name: str) -> Path:
    """A folder of that place: `logs`, `checkpoints`, `running_file` or `models`."""
    return Path(os.environ.get(VARIABLE) or ".", name)
