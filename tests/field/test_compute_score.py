"""`compute_score` alone, in host programs of all kinds: it learns, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from tests.field.endpoints import FieldServer, error

KEY = "sk-0123456789abcdefghij"

#: What a host program begins with; what is not closed is an error from then on.
BEGINNING = """
import asyncio, gc, logging, threading, warnings
from verl.utils.reward_score.writing_rl import compute_score

logging.basicConfig(level=logging.WARNING)
warnings.simplefilter("error", ResourceWarning)
ROW = {"prompt": "Write.", "target": ["A weak text.", "A better one."], "criteria": None}

def score(text="A response."):
    return compute_score("writing", text, ROW)

async def several(count):
    return await asyncio.gather(*(score(f"Response {number}.") for number in range(count)))
"""

PROGRAMS = {
    "several event loops": """
for _ in range(3):
    print([result["outcome"] for result in asyncio.run(several(6))])
""",
    "a loop that is closed at once": """
for _ in range(2):
    loop = asyncio.new_event_loop()
    print([result["outcome"] for result in loop.run_until_complete(several(6))])
    loop.close()
""",
    "one by one": """
async def main():
    return [(await score())["outcome"] for _ in range(6)]
print(asyncio.run(main()))
""",
    "threads": """
def work():
    asyncio.run(several(4))
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(["win"])
""",
    "a call that is cancelled": """
async def main():
    task = asyncio.ensure_future(several(6))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
asyncio.run(main())
print(["win"])
""",
}


def run(program: str, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"{BEGINNING}\n{program}\ngc.collect()\n"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def variables(field_server: FieldServer) -> dict[str, str]:
    return {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": field_server.url,
        "REWARD_STRATEGY": "position-advantage",
        "JUDGE_MODEL": "parts",
    }


def test_nothing_is_left_open_in_any_host_program(
    field_server: FieldServer, variables: dict[str, str]
) -> None:
    program = "".join(f"print({name!r})\n{program}" for name, program in PROGRAMS.items())
    done = run(program, variables)
    assert (done.stderr, done.returncode) == ("", 0)
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("[") and "'win'" not in line] == []
    assert len(lines) == len(PROGRAMS) + 8


def test_it_learns_at_its_first_refusal_and_in_every_event_loop(
    field_server: FieldServer, variables: dict[str, str]
) -> None:
    done = run(PROGRAMS["several event loops"], {**variables, "JUDGE_MODEL": "claude-opus-4-7"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(["win"] * 6)] * 3
    (line,) = done.stderr.splitlines()
    assert "refuses temperature=0.0" in line
    refused = [request for request in field_server.requests if "temperature" in request.body]
    assert len(refused) <= 6  # those of the first loop


def test_the_environments_parameters_are_sent(field_server: FieldServer, variables: dict[str, str]) -> None:
    done = run(PROGRAMS["one by one"], {**variables, "JUDGE_REQUEST": '{"top_p": 0.25, "temperature": null}'})
    assert done.returncode == 0, done.stderr
    assert {request.body["top_p"] for request in field_server.requests} == {0.25}
    assert all("temperature" not in request.body for request in field_server.requests)


def test_the_key_is_in_no_traceback(field_server: FieldServer, variables: dict[str, str]) -> None:
    field_server.behaviours["repeats-the-key"] = lambda _: error(401, f"Incorrect API key provided: {KEY}")
    done = run("asyncio.run(several(3))", {**variables, "JUDGE_MODEL": "repeats-the-key"})
    assert done.returncode == 1
    assert "JudgeError" in done.stderr
    assert "Unclosed" not in done.stderr
    assert KEY not in done.stderr
