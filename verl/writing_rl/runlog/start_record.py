"""What a run was started with: settings and versions, in `logs/<experiment>/starts/`, one file a start."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from writing_rl import __version__
from writing_rl.util.atomic_files import write_whole
from writing_rl.util.redact import is_secret, redact

#: Whose versions decide what a run does.
DISTRIBUTIONS = (
    *("verl", "vllm", "torch", "ray", "transformers", "tensordict", "TransferQueue"),
    *("flash-attn", "openai", "dashscope"),
)


def write_start(log_dir: Path, config: Mapping[str, Any], started: str) -> None:
    """Notes a start.

    Args:
        log_dir: The experiment's log folder.
        config: The resolved configuration, as plain containers. Secrets are in none, and would not be noted.
        started: The time, as the other files of the start are named.

    Raises:
        OSError: The folder cannot be written to.
    """
    record = {
        "started": started,
        "versions": {"writing_rl": __version__, "python": platform.python_version(), **versions()},
        "settings": flat(config),
    }
    content = json.dumps(record, ensure_ascii=False, indent=1, default=str) + "\n"
    write_whole(log_dir / "starts" / f"{started}.json", content.encode("utf-8", "replace"))


def read_starts(log_dir: Path) -> list[Mapping[str, Any]]:
    """The starts of an experiment, in their order; a file that cannot be read is left out."""
    records: list[Mapping[str, Any]] = []
    for path in sorted((log_dir / "starts").glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        parts = [record.get(key) for key in ("settings", "versions")] if isinstance(record, dict) else [None]
        if all(isinstance(part, dict) for part in parts):
            records.append(record)
    return records


def versions(names: Sequence[str] = DISTRIBUTIONS) -> dict[str, str]:
    """The versions of those distributions that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings with dots between the keys, without secrets."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{name}.")
        elif not is_secret(name):
            found[name] = redact(value) if isinstance(value, str) and "://" in value else value
    return found
