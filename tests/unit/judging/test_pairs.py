from __future__ import annotations

import asyncio
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.commands import writing_rl
from writing_rl.errors import DataError, JudgeError, Unscored
from writing_rl.judging.client.chat_model import Answer
from writing_rl.judging.client.request_queue import Deadline
from writing_rl.judging.judge import Question, load_templates
from writing_rl.judging.pairs import Pair, as_line, judge_pair, judged_ids, judged_with, read_pairs
from writing_rl.judging.rules import Rules
from writing_rl.judging.settings import JudgeSettings
from writing_rl.judging.verdict import Strategy
from writing_rl.util.as_completed import as_answered

GOOD, POOR = "The better text.", "The worse text."
MADE = "0123456789abcdef"


class Knower:
    """Prefers the better text wherever it stands."""

    name = description = "a fake"

    async def answer(self, question: Question, deadline: Deadline) -> Answer:
        return Answer("[[A]]" if question.answer_a == GOOD else "[[B]]", 5, 1, cost_usd=0.5)

    async def close(self) -> None: ...


def pair(id: Any = 1, a: str = GOOD, b: str = POOR, **more: Any) -> dict[str, Any]:
    return {"id": id, "prompt": "Write.", "response_a": a, "response_b": b, **more}


def verdict(id: Any, verdict: str | None) -> dict[str, Any]:
    return {"id": id, "verdict": verdict, "judged_with": MADE}


def write(path: Path, *entries: Any) -> Path:
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    return path


@pytest.mark.parametrize("strategy", [Strategy.ADVANTAGE, Strategy.BOTH])
@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        (GOOD, POOR, "A"),
        (POOR, GOOD, "B"),
        (f"<think>x</think>{GOOD}", POOR, "A"),
        (POOR, f"<think>x</think>{GOOD}", "B"),
        ("", POOR, "B"),
        (POOR, "<think>never closed", "A"),
        ("", " ", "C"),
    ],
)
async def test_verdicts_are_in_terms_of_the_responses(
    strategy: Strategy, a: str, b: str, verdict: str
) -> None:
    given = Pair(7, "Write.", a, b)
    line = as_line(given, await judge_pair([Knower()], given, Rules(strategy)), MADE)
    assert (line["id"], line["verdict"]) == (7, verdict)
    called = GOOD in a or GOOD in b
    assert line["calls"] == (len(strategy.policy_slots) if called else 0)
    assert line["cost_usd"] == 0.5 * line["calls"]
    assert line["reason"] == (None if called else "no_answer")


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [("\u200b", POOR, "B"), (GOOD, "<think>plan</think>\ufeff", "A"), ("\u2800", "\u3164", "C")],
)
async def test_a_text_that_shows_nothing_loses_without_a_call(first: str, second: str, verdict: str) -> None:
    comparison = await judge_pair([], Pair(1, "p", first, second), Rules())
    assert as_line(Pair(1, "p", first, second), comparison, MADE)["verdict"] == verdict
    assert (comparison.reason, comparison.calls) == ("no_answer", ())


async def test_no_verdict_is_null_with_its_reason() -> None:
    class Silent(Knower):
        async def answer(self, question: Question, deadline: Deadline) -> Answer:
            raise Unscored("http_500", "broken")

    given = Pair("x", "Write.", GOOD, POOR)
    line = as_line(given, await judge_pair([Silent()], given, Rules(Strategy.BOTH)), MADE)
    assert (line["verdict"], line["reason"], line["detail"]) == (None, "http_500", "broken")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": 1}', "line 1 lacks 'prompt'"),
        ("[1]", "line 1 is no JSON object"),
        ("{", "line 1 is no JSON: "),
        (json.dumps(pair(a=None)), "line 1: 'response_a' is None, it must be a text"),
        (json.dumps(pair(id=True)), "line 1: 'id' is True"),
        (json.dumps(pair(criteria=3)), "line 1: 'criteria' is 3"),
        (json.dumps(pair()) + "\n\n" + json.dumps(pair()), "line 3: the id 1 was there before"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "pairs.jsonl").write_text(content)
    with pytest.raises(DataError) as error:
        read_pairs(tmp_path / "pairs.jsonl")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl cannot be read: No such file"):
        read_pairs(tmp_path / "none.jsonl")


def test_what_was_judged_stays_judged_and_a_torn_line_goes(tmp_path: Path) -> None:
    pairs = [Pair(number, "p", GOOD, POOR) for number in range(4)]
    output = write(tmp_path / "out.jsonl", verdict(0, "A"), verdict(1, None))
    whole = output.read_bytes()
    output.write_bytes(whole + b'{"id": 2, "verd')
    assert judged_ids(output, pairs, MADE) == {0, 1}
    assert output.read_bytes() == whole
    assert judged_ids(output, pairs, MADE, retry_unscored=True) == {0}
    assert output.read_bytes() == whole.splitlines(keepends=True)[0]
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.parametrize("line", ["no JSON", '{"id": 9, "verdict": "A"}', '{"verdict": "A"}', "[]"])
def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path, line: str) -> None:
    output = tmp_path / "notes.txt"
    output.write_text(f"{line}\n")
    with pytest.raises(DataError, match="name another --output"):
        judged_ids(output, [Pair(1, "p", GOOD, POOR)], MADE)
    assert output.read_text() == f"{line}\n"


def test_verdicts_of_another_judge_settings_or_instructions_are_not_gone_on_with(tmp_path: Path) -> None:
    output = write(tmp_path / "out.jsonl", verdict(1, "A"))
    settings = JudgeSettings(("a",))
    templates = load_templates()
    others = [
        judged_with(settings, templates),
        judged_with(replace(settings, models=("b",)), templates),
        judged_with(replace(settings, strategy=Strategy.BOTH), templates),
        judged_with(replace(settings, request={"top_p": 0.5}), templates),
        judged_with(settings, replace(templates, ask_again="Which one?")),
    ]
    assert len({*others, MADE}) == 6
    before = output.read_bytes()
    for made in others:
        with pytest.raises(DataError, match=r"line 1 was judged by another judge.*name another --output"):
            judged_ids(output, [Pair(1, "p", GOOD, POOR)], made, retry_unscored=True)
    assert output.read_bytes() == before


async def test_as_many_run_at_a_time_as_asked_for() -> None:
    running, most = 0, 0

    async def compare(_: Pair) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1

    pairs = [Pair(number, "p", "a", "b") for number in range(40)]
    seen = [pair.id async for pair, _ in as_answered(pairs, compare, 7)]
    assert sorted(seen) == list(range(40))
    assert most == 7


async def test_a_judge_that_cannot_be_used_ends_it_all() -> None:
    async def compare(given: Pair) -> Any:
        if given.id == 3:
            raise JudgeError("the judge refuses the key")
        await asyncio.sleep(60)

    with pytest.raises(JudgeError, match="refuses"):
        async for _ in as_answered([Pair(number, "p", "a", "b") for number in range(6)], compare, 6):
            pass
    assert len(asyncio.all_tasks()) == 1


def test_the_shipped_templates_are_found() -> None:
    assert "{answer_b}" in load_templates().with_criteria


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return writing_rl("judge", "pairs", *arguments)


def test_the_script_judges_goes_on_and_sums_up(tmp_path: Path) -> None:
    long = "The fox ran home over the hill. It found its den and slept until the morning came."
    given = write(tmp_path / "in.jsonl", pair(1, long, "Fox. Fox. Fox. Fox."), pair("two", "Fox. Fox.", long))
    output = tmp_path / "out.jsonl"
    first = run("--judge", "offline", given, "--output", output, "--order", "both")
    assert first.returncode == 0, first.stderr
    assert "no LLM judge" in first.stderr
    assert "A 1, B 1, C 0, unscored 0" in first.stdout
    assert {line["id"]: line["verdict"] for line in map(json.loads, output.read_text().splitlines())} == {
        1: "A",
        "two": "B",
    }
    content = output.read_bytes()
    second = run("--judge", "offline", given, "--output", output, "--order", "both")
    assert "2 judged before" in second.stderr
    assert output.read_bytes() == content


def test_the_scripts_mistakes_are_one_line(tmp_path: Path) -> None:
    given = write(tmp_path / "in.jsonl", {"id": 1})
    done = run("--judge", "offline", given, "--output", tmp_path / "out.jsonl")
    assert done.returncode == 1
    assert done.stderr == f"Error: {given}, line 1 lacks 'prompt'\n"
    assert not (tmp_path / "out.jsonl").exists()
    assert "no judge is set" in run(write(given, pair()), "--output", "x").stderr
    none = run("--judge", "offline", "--max-calls", "0", given, "--output", "x")
    assert "argument --max-calls: 0 is below 1" in none.stderr


def test_the_script_stops_at_its_budget_and_goes_on_with_another(tmp_path: Path) -> None:
    given = write(tmp_path / "in.jsonl", *(pair(number) for number in range(5)))
    output = tmp_path / "out.jsonl"
    settings = ("--judge", "offline", given, "--output", output)
    first = run(*settings, "--max-calls", "3")
    assert first.returncode == 1
    assert first.stderr.splitlines()[-1] == "Error: the budget is spent: 3 calls, max_calls is reached"
    assert len(output.read_text().splitlines()) == 3
    second = run(*settings, "--max-calls", "3")
    assert second.returncode == 0, second.stderr
    assert "5 calls, 0 tokens read and 0 written by the judge, 0.0000 USD" in second.stdout
