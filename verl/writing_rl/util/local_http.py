"""Requests to servers that this project or verl has started; none uses a proxy of the environment."""

from __future__ import annotations

import urllib.request
from http.client import HTTPResponse

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url: str, timeout_s: float) -> HTTPResponse:
    """The answer to a GET, to be used as a context.

    Args:
        url: On any address of this machine or of another of the run.
        timeout_s: Seconds that a connection, or anything to be read, may take.

    Raises:
        urllib.error.HTTPError: The status is one of an error.
        OSError: Nobody answers; where that takes too long, a `TimeoutError` or a `URLError` about one.
    """
    response: HTTPResponse = _OPENER.open(url, timeout=timeout_s)
    return response
