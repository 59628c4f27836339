"""The name of an experiment, which names its index file, logs, checkpoints and exported models."""

from __future__ import annotations

from writing_rl.errors import SettingError
from writing_rl.util.redact import printable

#: Bytes of a name: a file name has at most 255, and ours add up to a hundred of their own.
MOST_BYTES = 150


def check_experiment(name: str, setting: str = "EXPERIMENT_NAME") -> str:
    """Makes sure that an experiment's name stays in the folders that its files are for.

    Args:
        name: The name.
        setting: Where it comes from, for the message.

    Returns:
        The name.

    Raises:
        SettingError: It cannot name files.
    """
    if fault := _fault(name):
        raise SettingError(f"{setting} is '{printable(name, 80)}', and it names files: {fault}")
    return name


def names_files(name: str) -> bool:
    """Whether a name passes `check_experiment`: one that does not names no experiment that there is."""
    return not _fault(name)


def _fault(name: str) -> str:
    """What is wrong with a name, as a remedy; empty where nothing is."""
    if not name or name != name.strip():
        return "it must not be empty, and neither begin nor end with white space"
    if "/" in name or "\\" in name:
        return "leave out slashes"
    if name[0] in ".-~":
        return f"leave out the leading {name[0]}"
    if printable(name) != name:
        return "leave out line breaks and characters that cannot be seen"
    if (size := len(name.encode("utf-8"))) > MOST_BYTES:
        return f"it has {size} bytes, and may have {MOST_BYTES}"
    return ""
