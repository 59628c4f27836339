from __future__ import annotations

import asyncio
import multiprocessing
import time
from pathlib import Path

from writing_rl.judging.client.cache import Cache
from writing_rl.judging.client.chat_model import Answer


def write_many(path: Path, process: int) -> None:
    cache = Cache(path, read_only=False)

    async def write() -> None:
        for number in range(50):
            messages = [{"role": "user", "content": f"{process} {number}"}]
            await cache.put("fake", messages, Answer(f"{process} {number}"))

    asyncio.run(write())
    cache.close()


async def test_several_processes_write_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write_many, args=(path, process)) for process in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    cache = Cache(path, read_only=True)
    for process in range(3):
        for number in (0, 49):
            messages = [{"role": "user", "content": f"{process} {number}"}]
            known = await cache.get("fake", messages)
            assert known is not None
            assert known.text == f"{process} {number}"


def open_at(path: Path, moment: float) -> None:
    time.sleep(max(0.0, moment - time.time()))
    Cache(path, read_only=False).close()


def test_several_processes_make_the_file_at_the_same_moment(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    moment = time.time() + 3
    processes = [context.Process(target=open_at, args=(tmp_path / "new.sqlite", moment)) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
