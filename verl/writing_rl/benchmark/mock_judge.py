"""A judge's endpoint that answers after a drawn time: `python -m writing_rl.benchmark.mock_judge`.

It prints its port, and keeps count: GET /figures gives what it has seen and GET /reset forgets it.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import time
from typing import Any

from aiohttp import web


class MockJudge:
    """Answers `[[A]]` with log-normal latencies, drawn in the order of arrival from a seed.

    Attributes:
        latencies_s: The latency drawn for each request, in the order of arrival.
        most: Most requests that were in flight at a time.
    """

    def __init__(self, mean_s: float, sigma: float, answer_tokens: int) -> None:
        self._mean_s = mean_s
        self._sigma = sigma
        self._text = "word " * answer_tokens + "\n[[A]]"
        self.reset()

    def reset(self) -> None:
        self._random = random.Random(0)
        self.latencies_s: list[float] = []
        self.most = 0
        self._running = 0
        self._connections: set[int] = set()
        self._first: float | None = None
        self._last = 0.0

    async def answer(self, request: web.Request) -> web.Response:
        self._running += 1
        self.most = max(self.most, self._running)
        self._first = self._first or time.monotonic()
        self._connections.add(id(request.transport))
        # exp(N(mu, sigma)) has the mean exp(mu + sigma^2 / 2).
        mu = math.log(self._mean_s) - self._sigma**2 / 2 if self._mean_s else 0.0
        latency = self._random.lognormvariate(mu, self._sigma) if self._mean_s else 0.0
        self.latencies_s.append(latency)
        await request.read()
        if latency:
            await asyncio.sleep(latency)
        self._running -= 1
        self._last = time.monotonic()
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": self._text},
            "finish_reason": "stop",
        }
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return web.json_response(
            {
                "id": "1",
                "object": "chat.completion",
                "created": 1,
                "model": "m",
                "choices": [choice],
                "usage": usage,
            }
        )

    async def figures(self, _: web.Request) -> web.Response:
        figures: dict[str, Any] = {
            "latencies_s": self.latencies_s,
            "most": self.most,
            "connections": len(self._connections),
            "span_s": self._last - (self._first or self._last),
        }
        return web.json_response(figures)

    async def forget(self, _: web.Request) -> web.Response:
        self.reset()
        return web.json_response({})


async def serve(judge: MockJudge) -> None:
    """Serves on a free port of the loopback interface, for good."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/v1/chat/completions", judge.answer)
    app.router.add_get("/figures", judge.figures)
    app.router.add_get("/reset", judge.forget)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mean_s", type=float, default=1.0, help="mean latency (default: %(default)s)")
    parser.add_argument("--sigma", type=float, default=0.5, help="of the log-normal (default: %(default)s)")
    parser.add_argument("--answer_tokens", type=int, default=200, help="words in an answer")
    arguments = parser.parse_args()
    asyncio.run(serve(MockJudge(arguments.mean_s, arguments.sigma, arguments.answer_tokens)))


if __name__ == "__main__":
    main()
