"""Writing side by side: layout, contestants, and sessions with an endpoint that writes and judges."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import COMMAND

# Sessions


GOOD, POOR = "The tide took the letter.", "sea sea sea"


class Endpoint:
    """`trained` writes a good text, `base` a poor one, and `judge` can tell."""

    def __init__(self, server: Any, reply: Any) -> None:
        self.server, self.reply = server, reply
        self.texts = {"trained": GOOD, "base": POOR}
        self.verdict: Callable[[bool], str] = lambda good_first: "[[A]]" if good_first else "[[B]]"
        self.status = 200
        server.choose = self.answer

    @property
    def models(self) -> list[str]:
        """What was asked for, in the order of requests."""
        return [request["model"] for request in self.server.requests]

    def answer(self, number: int) -> Any:
        request = self.server.requests[number - 1]
        if request["model"] in self.texts:
            return self.reply(self.texts[request["model"]])
        said = request["messages"][0]["content"]
        if self.status != 200:
            return self.reply(status=self.status)
        good_first = said.index(self.texts["trained"]) < said.index(self.texts["base"])
        return self.reply(f"I have read both.\x1b[2J\n{self.verdict(good_first)}")


@pytest.fixture
def endpoint(judge_server: Any, reply: Any) -> Endpoint:
    return Endpoint(judge_server, reply)


# A terminal


class Terminal:
    """The script on a terminal of its own."""

    def __init__(self, url: str, folder: Path, *arguments: str) -> None:
        self.screen, theirs = os.openpty()
        models = ["--model", f"trained@{url}", "--against", f"base@{url}", "--base-url", url]
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [*COMMAND, "chat", *models, *arguments],
            cwd=folder,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.said, self._heard = "", 0

    def type(self, keys: str) -> None:
        os.write(self.screen, keys.encode())

    def wait_for(self, text: str) -> None:
        """Reads on until something is said."""
        until = time.monotonic() + 60
        while (place := self.said.find(text, self._heard)) < 0:
            assert time.monotonic() < until, self.said
            if select.select([self.screen], [], [], 1)[0]:
                self.said += os.read(self.screen, 4096).decode(errors="replace")
        self._heard = place + len(text)

    def end(self) -> int:
        """The exit code."""
        with contextlib.suppress(OSError):  # the other side is closed
            while piece := os.read(self.screen, 4096):
                self.said += piece.decode(errors="replace")
        return self.process.wait(60)


@pytest.fixture
def terminal(endpoint: Endpoint, tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def on(*arguments: str) -> Terminal:
        opened.append(Terminal(endpoint.server.url, tmp_path, *arguments))
        return opened[-1]

    yield on
    for terminal in opened:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.screen)


@pytest.mark.parametrize("ending", ["ctrl-d", "ctrl-c"])
def test_a_session_is_ended_from_the_keyboard(terminal: Any, ending: str) -> None:
    session = terminal("--judge", "judge")
    session.wait_for("Ctrl-D ends the session")
    session.wait_for("> ")
    session.type("One\\\r")
    session.wait_for("... ")
    session.type("and two\r")
    session.wait_for("trained wins")
    session.wait_for("> ")
    if ending == "ctrl-d":
        session.type("\x04")
    else:
        time.sleep(1)  # readline has no ear for a signal while it shows its prompt
        session.process.send_signal(signal.SIGINT)
    assert session.end() == 0, session.said
    assert "win 1, tie 0, loss 0, unscored 0 of 1" in session.said
    assert "Traceback" not in session.said


def test_ctrl_c_ends_a_session_while_models_write(terminal: Any, endpoint: Endpoint, reply: Any) -> None:
    session = terminal()
    session.wait_for("> ")
    session.type("One\r")
    session.wait_for("base (3 words)")
    session.wait_for("> ")
    endpoint.server.choose = lambda _: reply(hang=True)
    session.type("Two\r")
    while len(endpoint.models) < 4:
        time.sleep(0.01)
    session.process.send_signal(signal.SIGINT)
    assert session.end() == 0, session.said
    assert "wrote to 1 prompts" in session.said
    assert "Traceback" not in session.said


def test_what_is_pasted_is_one_prompt(terminal: Any, endpoint: Endpoint) -> None:
    session = terminal()
    session.wait_for("> ")
    session.type("\x1b[200~First line\n\nthird line\x1b[201~\r")
    session.wait_for("base (3 words)")
    session.wait_for("> ")
    session.type("\x04")
    assert session.end() == 0
    contents = {request["messages"][-1]["content"] for request in endpoint.server.requests}
    assert contents == {"First line\n\nthird line"}
