"""Answers that have been paid for, in a file: a repeated or resumed run does not pay twice."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from writing_rl.errors import SettingError
from writing_rl.judging.client.chat_model import Answer, Messages
from writing_rl.util.console import say

#: Seconds that a process waits for another one to have written.
BUSY_TIMEOUT_S = 30.0


class Cache:
    """A SQLite file of answers, which any number of processes of a machine may use at the same time.

    A cache that stops working (a full disk) does not end a run: it says so once and is used no more.
    """

    def __init__(self, path: Path, *, read_only: bool) -> None:
        """Opens the file, which is made where it may be written.

        Raises:
            SettingError: It is no such file, or cannot be opened.
        """
        self._path = path
        self._read_only = read_only
        self._broken = False
        # One thread, for SQLite's connection belongs to it, and a disk that is slow must not stop the rest.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="judge-cache")
        try:
            self._database = self._thread.submit(self._open).result()
        except (sqlite3.Error, OSError) as error:
            raise SettingError(
                f"the judge's cache {path} cannot be opened: {error} (writing_rl.judge.cache_file)"
            ) from None

    async def get(self, identity: str, messages: Messages) -> Answer | None:
        """The answer to some messages, if it is there.

        Args:
            identity: `Chat.identity` of the model.
            messages: What it is asked.
        """
        row = await self._run("SELECT answer FROM answers WHERE key = ?", (key_of(identity, messages),))
        try:
            return Answer(**json.loads(row[0]), cached=True) if row else None
        except (ValueError, TypeError):
            return None  # it is of another version, and will be replaced

    async def put(self, identity: str, messages: Messages, answer: Answer) -> None:
        """Keeps an answer, if the mode says so."""
        if self._read_only:
            return
        kept = {
            "text": answer.text,
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
            "truncated": answer.truncated,
        }
        values = (key_of(identity, messages), json.dumps(kept))
        await self._run("INSERT OR REPLACE INTO answers VALUES (?, ?)", values)

    def close(self) -> None:
        """Closes the file."""
        self._thread.submit(self._database.close).result()
        self._thread.shutdown()

    def _open(self) -> sqlite3.Connection:
        """Opens the file; SQLite itself does not wait where several processes make it at the same moment."""
        given_up = time.monotonic() + BUSY_TIMEOUT_S
        while True:
            try:
                return self._connect()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > given_up:
                    raise
            time.sleep(random.uniform(0.01, 0.1))

    def _connect(self) -> sqlite3.Connection:
        if not self._read_only:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(
                "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL)"
            )
        else:
            address = f"{self._path.resolve().as_uri()}?mode=ro"
            database = sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_S)
        database.execute("SELECT key, answer FROM answers LIMIT 1")
        return database

    async def _run(self, statement: str, values: tuple[str, ...]) -> tuple[str, ...] | None:
        if self._broken:
            return None
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(
                self._thread, lambda: self._database.execute(statement, values).fetchone()
            )
        except sqlite3.Error as error:
            if not self._broken:
                say(f"[writing-rl] the judge's cache {self._path} is not used any more: {error}")
            self._broken = True
            return None


def key_of(identity: str, messages: Messages) -> str:
    """Names an answer by everything that determines it."""
    return hashlib.sha256(json.dumps([identity, messages]).encode()).hexdigest()
