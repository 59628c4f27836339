"""Taking the thinking part out of a policy's response before it is judged. Pure functions."""

from __future__ import annotations

import re

_OPEN, _CLOSE = "<think>", "</think>"
_BLOCK = re.compile(re.escape(_OPEN) + r".*?" + re.escape(_CLOSE), re.DOTALL)


def strip_thinking(response: str) -> str:
    """Removes the thinking part of a response.

    Chat templates of reasoning models may open the thinking part themselves; the response then begins
    inside it and holds only the closing tag.

    Args:
        response: The decoded response.

    Returns:
        The text to be judged, without surrounding white space. Empty where nothing is left, and where a
        thinking part is opened and never closed: what follows is no answer.
    """
    first_close = response.find(_CLOSE)
    if first_close >= 0 and _OPEN not in response[:first_close]:
        response = response[first_close + len(_CLOSE) :]
    response = _BLOCK.sub("", response)
    return "" if _OPEN in response else response.strip()
