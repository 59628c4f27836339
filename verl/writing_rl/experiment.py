"""The name of an experiment, which names its index file, logs, checkpoints and exported models."""

from __future__ import annotations

from writing_rl.errors import SettingError
from writing_rl.redact import printable

#: Bytes of a name: a file name has at most 255, and ours add up to a hundred of their own.
MOST_BYTES = 150

#: What parts folders, and what `--help`, shells and other file systems take for more than a letter.
_FORBIDDEN = '/\\%:*?"<>|$`'


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
    if not name or name != name.strip():
        why = "it must not be empty, and neither begin nor end with white space"
    elif name[0] in ".-~":
        why = f"leave out the leading {name[0]}"
    elif found := [character for character in _FORBIDDEN if character in name]:
        why = f"leave out {' '.join(found)}"
    elif printable(name) != name:
        why = "leave out line breaks and characters that cannot be seen"
    elif (size := len(name.encode("utf-8", "replace"))) > MOST_BYTES:
        why = f"it has {size} bytes, and may have {MOST_BYTES}"
    else:
        return name
    raise SettingError(f"{setting} is '{printable(name, 80)}', and it names files: {why}")
