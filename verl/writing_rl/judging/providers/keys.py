"""API keys: read from the environment by the process that uses them, and kept nowhere else."""

from __future__ import annotations

import os

from writing_rl.errors import SettingError

#: DashScope's OpenAI-compatible address, which has models that its own API lacks.
COMPATIBLE = "https://dashscope.aliyuncs.com/compatible-mode/v1"
#: The same for keys of the international site.
INTERNATIONAL = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"


def read_key(variable: str) -> str:
    """The key in an environment variable, without white space around it; empty where there is none.

    Raises:
        SettingError: It holds what no HTTP header can: clients would show it in their error.
    """
    key = os.environ.get(variable, "").strip()
    if not all("!" <= character <= "~" for character in key):
        raise SettingError(f"{variable} holds white space or other characters that no key has: set it anew")
    return key
