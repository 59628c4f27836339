"""A judge's endpoint that answers after a while: `python -m writing_rl.experiments.benchmark.mock_judge`.

It prints its port, and keeps count: GET /figures gives what it has seen and GET /reset forgets it.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import math
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from writing_rl.util import local_http

#: What goes wrong with a request, each as often as the others.
FAULTS = ("busy", "broken", "hanging", "no verdict")


class MockJudge:
    """Answers with one text after log-normal latencies, drawn in the order of arrival from a seed.

    Attributes:
        latencies_s: The latency drawn for each request, in the order of arrival.
        most: Most requests that were in flight at a time.
        answered: The questions that have got a verdict.
        repeated: Requests with a question that had got one before.
    """

    def __init__(
        self, mean_s: float, sigma: float, answer_tokens: int, fault_share: float, last_line: str
    ) -> None:
        self._mean_s = mean_s
        self._sigma = sigma
        self._fault_share = fault_share
        self._text = "word " * answer_tokens
        self._last_line = f"\n{last_line}"
        self.reset()

    def reset(self) -> None:
        self._random = random.Random(0)
        self.latencies_s: list[float] = []
        self.most = 0
        self.answered: set[bytes] = set()
        self.repeated = 0
        self._running = 0
        self._connections: set[int] = set()
        self._first: float | None = None
        self._last = 0.0

    async def answer(self, request: web.Request) -> web.Response:
        self._running += 1
        self.most = max(self.most, self._running)
        self._first = self._first or time.monotonic()
        self._connections.add(id(request.transport))
        fault = self._random.choice(FAULTS) if self._random.random() < self._fault_share else None
        latency = self._draw()
        self.latencies_s.append(latency)
        try:
            question = hashlib.sha256(await request.read()).digest()
            self.repeated += question in self.answered
            if latency:
                await asyncio.sleep(latency)
            if fault == "hanging":
                await asyncio.sleep(3600)
        finally:
            self._running -= 1
            self._last = time.monotonic()
        if fault == "busy":
            return web.json_response({"error": {"message": "slow down"}}, status=429)
        if fault == "broken":
            return web.json_response({"error": {"message": "broken"}}, status=500)
        if fault is None:
            self.answered.add(question)
        return web.json_response(self._completion("" if fault else self._last_line))

    def _draw(self) -> float:
        if not self._mean_s:
            return 0.0
        # exp(N(mu, sigma)) has the mean exp(mu + sigma^2 / 2).
        return self._random.lognormvariate(math.log(self._mean_s) - self._sigma**2 / 2, self._sigma)

    def _completion(self, verdict: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": self._text + verdict}
        return {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }

    async def figures(self, _: web.Request) -> web.Response:
        figures: dict[str, Any] = {
            "latencies_s": self.latencies_s,
            "most": self.most,
            "connections": len(self._connections),
            "repeated": self.repeated,
            "span_s": self._last - (self._first or self._last),
        }
        return web.json_response(figures)

    async def forget(self, _: web.Request) -> web.Response:
        self.reset()
        return web.json_response({})


@contextmanager
def running(**options: Any) -> Iterator[str]:
    """Runs a mock judge in a process of its own; yields the address that it listens at.

    Args:
        options: See `--help`.
    """
    command = [sys.executable, "-m", "writing_rl.experiments.benchmark.mock_judge"]
    command += [text for name, value in options.items() for text in (f"--{name}", str(value))]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.kill()
        server.wait()


def get(url: str) -> Any:
    """The JSON at an address."""
    with local_http.get(url, 60) as answer:
        return json.load(answer)


async def serve(judge: MockJudge) -> None:
    """Serves on a free port of the loopback interface, for good."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/v1/chat/completions", judge.answer)
    app.router.add_get("/figures", judge.figures)
    app.router.add_get("/reset", judge.forget)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--mean_s", type=float, default=1.0, help="mean latency (default: %(default)s)")
    add("--sigma", type=float, default=0.5, help="of the log-normal (default: %(default)s)")
    add("--answer_tokens", type=int, default=200, help="words in an answer (default: %(default)s)")
    add("--fault_share", type=float, default=0.0, help="of the requests (default: %(default)s)")
    add("--last_line", default="[[A]]", help="what every answer ends with (default: %(default)s)")
    arguments = parser.parse_args()
    judge = MockJudge(**vars(arguments))
    asyncio.run(serve(judge))


if __name__ == "__main__":
    main()
