from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from writing_rl.errors import SettingError, Unscored
from writing_rl.judging.client.cache import Cache, key_of
from writing_rl.judging.client.chat_model import Answer, Messages
from writing_rl.judging.client.model import Model
from writing_rl.judging.client.prices import Price
from writing_rl.judging.client.request_queue import Channel, Deadline, own_slots
from writing_rl.judging.client.slots import SlotPool

MESSAGES: Messages = [{"role": "user", "content": "Which is better?"}]


class Counting:
    """Answers with the number of the call."""

    description = "a fake"

    def __init__(self, identity: str = "fake") -> None:
        self.identity = identity
        self.learnt: dict[str, Any] = {}
        self.calls = 0

    async def complete(self, messages: Messages) -> Answer:
        self.calls += 1
        return Answer(f"answer {self.calls} [[A]]", 1_000_000, 1_000_000)

    async def close(self) -> None: ...


def model(chat: Counting, path: Path, read_only: bool = False) -> Model:
    channel = Channel(own_slots(SlotPool(4)), max_retries=0, request_timeout_s=5.0)
    return Model(chat, channel, max_tokens=10, price=Price(1.0, 2.0), cache=Cache(path, read_only=read_only))


async def ask(chat: Counting, path: Path, read_only: bool = False, **more: Any) -> Answer:
    messages = [{**MESSAGES[0], **more}]
    return await model(chat, path, read_only).complete(messages, Deadline.of(5.0))


async def test_an_answer_is_paid_for_once(tmp_path: Path) -> None:
    chat, path = Counting(), tmp_path / "deep" / "cache.sqlite"
    first = await ask(chat, path)
    again = await ask(chat, path)
    assert (first.text, first.cost_usd, first.cached) == ("answer 1 [[A]]", 3.0, False)
    assert (again.text, again.cost_usd, again.cached) == ("answer 1 [[A]]", 0.0, True)
    assert (again.prompt_tokens, again.completion_tokens) == (1_000_000, 1_000_000)
    assert chat.calls == 1


async def test_everything_that_determines_an_answer_is_in_its_name(tmp_path: Path) -> None:
    chat, path = Counting(), tmp_path / "cache.sqlite"
    await ask(chat, path)
    await ask(chat, path, content="Which is worse?")
    await ask(chat, path, role="system")
    assert chat.calls == 3
    other = Counting("the same with another temperature")
    await ask(other, path)
    assert other.calls == 1
    assert key_of("ab", []) != key_of("a", [{"role": "b", "content": ""}])


async def test_a_cache_that_is_only_read_stays_as_it_is(tmp_path: Path) -> None:
    chat, path = Counting(), tmp_path / "cache.sqlite"
    await ask(chat, path)
    assert (await ask(chat, path, read_only=True)).cached
    assert not (await ask(chat, path, read_only=True, content="new")).cached
    assert not (await ask(chat, path, read_only=True, content="new")).cached


@pytest.mark.parametrize("content", [None, b"no database at all, but long enough to be looked at" * 99])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "cache.sqlite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(
        SettingError, match=r"cache\.sqlite cannot be opened: .* \(writing_rl\.judge\.cache_file\)"
    ):
        Cache(path, read_only=True)


async def test_a_cache_that_breaks_is_left_and_the_judge_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chat, path = Counting(), tmp_path / "cache.sqlite"
    limited = model(chat, path, read_only=False)
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE answers")
    database.close()
    for _ in range(3):
        assert not (await limited.complete(MESSAGES, Deadline.of(5.0))).cached
    assert capsys.readouterr().out.count("is not used any more") == 1


async def test_an_entry_of_another_version_is_replaced(tmp_path: Path) -> None:
    chat, path = Counting(), tmp_path / "cache.sqlite"
    await ask(chat, path)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE answers SET answer = '{\"words\": 3}'")
    database.close()
    assert not (await ask(chat, path)).cached
    assert (await ask(chat, path)).cached


async def test_a_client_that_breaks_costs_one_comparison() -> None:
    class Broken(Counting):
        async def complete(self, messages: Messages) -> Answer:
            raise OverflowError("cannot convert float infinity to integer")

    channel = Channel(own_slots(SlotPool(4)), max_retries=3, request_timeout_s=5.0)
    with pytest.raises(Unscored) as error:
        await Model(Broken(), channel, max_tokens=10, price=None).complete(MESSAGES, Deadline.of(5.0))
    assert (error.value.reason, error.value.detail) == ("error", "OverflowError in the judge's client")
