"""The openai client alone, in the way that takes it the least: no judge path that uses it asks faster."""

from __future__ import annotations

import asyncio
import time

import httpx2
import openai
import orjson


async def bare_makespan(url: str, requests: int, parallel: int, words: int) -> float:
    """Seconds in which the client has requests answered, when nothing else is done.

    Args:
        url: The endpoint, as in `OPENAI_BASE_URL`.
        requests: How many.
        parallel: Requests in flight at most.
        words: Length of the question.
    """
    messages = [{"role": "user", "content": "word " * words}]
    body = orjson.dumps({"model": "mock", "messages": messages})
    limits = httpx2.Limits(max_connections=parallel)
    http = openai.DefaultAioHttpClient(limits=limits)
    async with openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0, http_client=http) as client:

        async def ask(count: int) -> None:
            for _ in range(count):
                await client.post("chat/completions", cast_to=httpx2.Response, content=body)

        await asyncio.gather(*(ask(1) for _ in range(parallel)))  # opens the connections
        started = time.monotonic()
        counts = [len(range(first, requests, parallel)) for first in range(parallel)]
        await asyncio.gather(*map(ask, counts))
        return time.monotonic() - started
