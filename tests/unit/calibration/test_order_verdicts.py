from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from writing_rl.calibration.order_verdicts import (
    OrderVerdicts,
    checksum,
    judge_orders,
    read_order_verdicts,
)
from writing_rl.errors import DataError, Unscored
from writing_rl.judging.client.chat_model import Answer
from writing_rl.judging.judge import Question
from writing_rl.judging.pairs import Pair
from writing_rl.judging.rules import Rules
from writing_rl.judging.verdict import Strategy, Verdict

A, B, TIE = Verdict.A, Verdict.B, Verdict.TIE
PAIR = Pair(7, "Write.", "A text.", "Another.", "Short.")


class Fake:
    """Answers what it is told for each text that is shown first, one answer after the other."""

    description = "a fake"

    def __init__(self, given: list[str | None], swapped: list[str | None], name: str = "fake") -> None:
        self.name = name
        self._answers = {PAIR.response_a: list(given), PAIR.response_b: list(swapped)}

    async def answer(self, question: Question, deadline: Any) -> Answer:
        text = self._answers[question.answer_a].pop(0)
        if text is None:
            raise Unscored("timeout")
        return Answer(text, 100, 10, latency_s=0.5, cost_usd=0.01)

    async def close(self) -> None:
        """Has nothing to close."""


def judged(path: Path, *judges: Fake, pairs: tuple[Pair, ...] = (PAIR,)) -> dict[str, Any]:
    """The last entry of what some judges say."""

    async def run() -> dict[str, Any]:
        return [entry async for entry in judge_orders(judges, Rules(), pairs, path, 2, "made")][-1]

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("given", "swapped", "verdicts"),
    [
        # What is shown first is A to the judge, and with the orders swapped that is response_b.
        (["[[A]]"], ["[[B]]"], (A, A, A)),
        (["[[A]]"], ["[[A]]"], (A, B, TIE)),
        (["[[B]]"], ["[[A]]"], (B, B, B)),
        (["[[C]]"], ["[[B]]"], (TIE, A, TIE)),
        (["Hm.", "[[B]]"], ["[[A]]"], (B, B, B)),
        (["Hm.", "Hm."], ["[[A]]"], (None, B, None)),
        (["[[A]]"], [None], (A, None, None)),
        (["[[A]]"], ["Hm.", None], (A, None, None)),
        ([None], [None], (None, None, None)),
    ],
)
def test_each_order_has_its_verdict(
    tmp_path: Path, given: list[str | None], swapped: list[str | None], verdicts: tuple[Verdict | None, ...]
) -> None:
    path = tmp_path / "out.jsonl"
    entry = judged(path, Fake(given, swapped))
    assert json.loads(path.read_text()) == entry
    found = read_order_verdicts(path, [PAIR])[7]
    assert (found.given, found.swapped, found.both) == verdicts
    assert found.judge == "fake"


def test_several_judges_vote_in_each_order(tmp_path: Path) -> None:
    judges = (
        Fake(["[[A]]"], ["[[A]]"], "one"),
        Fake(["Hm.", "[[A]]"], ["[[A]]"], "two"),
        Fake(["[[B]]"], [None], "three"),
    )
    judged(tmp_path / "out.jsonl", *judges)
    found = read_order_verdicts(tmp_path / "out.jsonl", [PAIR], "one,two,three")[7]
    assert (found.given, found.swapped, found.both) == (A, B, TIE)


def test_an_order_that_half_of_the_judges_leave_open_is_unscored(tmp_path: Path) -> None:
    judges = Fake(["[[A]]"], ["[[B]]"], "one"), Fake([None], ["[[B]]"], "two")
    judged(tmp_path / "out.jsonl", *judges)
    found = read_order_verdicts(tmp_path / "out.jsonl", [PAIR])[7]
    assert (found.given, found.swapped, found.both) == (None, A, None)


def test_what_it_took_is_read(tmp_path: Path) -> None:
    judged(tmp_path / "out.jsonl", Fake(["Hm.", "[[A]]"], ["[[B]]"]))
    found = read_order_verdicts(tmp_path / "out.jsonl", [PAIR])[7]
    assert (found.calls, found.prompt_tokens, found.completion_tokens, found.latency_s) == (3, 300, 30, 1.5)
    assert found.cost_usd == pytest.approx(0.03)


def line(**more: Any) -> dict[str, Any]:
    verdicts = {"id": 7, "verdict": "C", "given": "A", "swapped": "B", "judge": "j", "texts": checksum(PAIR)}
    return {**verdicts, "calls": 2, "prompt_tokens": 9, "completion_tokens": 1, "latency_s": 1.0, **more}


def write(folder: Path, *entries: Any) -> Path:
    path = folder / "verdicts.jsonl"
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    return path


def test_a_torn_last_line_is_left_out_and_the_cost_may_be_missing(tmp_path: Path) -> None:
    path = write(tmp_path, line())
    content = path.read_text() + '{"id": 8, "ver'
    path.write_text(content)
    assert read_order_verdicts(path, [PAIR]) == {7: OrderVerdicts("j", A, B, TIE, 2, 9, 1, 1.0, None)}
    assert path.read_text() == content


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"id": 7, "verdict": "A"}, "line 2 is no verdict of both orders"),
        (line(given="X"), "line 2 is no verdict of both orders"),
        (line(calls=None), "line 2 is no verdict of both orders"),
        (line(id=[]), "line 2 is no verdict of both orders"),
        ([], "line 2 is no verdict of both orders"),
        (line(id=8), "line 2: no pair has the id 8"),
        (line(texts="0"), "line 2: the pair 7 had other texts when it was judged"),
        (line(judge="k"), "line 2 is by the judge 'k', not by 'j'"),
    ],
)
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, entry: Any, message: str) -> None:
    path = write(tmp_path, line(), entry)
    with pytest.raises(DataError) as error:
        read_order_verdicts(path, [PAIR])
    assert str(error.value) == f"{path}, {message}: name another file"


def test_verdicts_of_another_judge_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 1 is by the judge 'j', not by 'k'"):
        read_order_verdicts(write(tmp_path, line()), [PAIR], "k")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl cannot be read: No such file"):
        read_order_verdicts(tmp_path / "none.jsonl", [PAIR])


def test_the_strategy_of_the_rules_does_not_matter(tmp_path: Path) -> None:
    async def run() -> None:
        rules = Rules(Strategy.ADVANTAGE)
        async for _ in judge_orders(
            [Fake(["[[A]]"], ["[[A]]"])], rules, [PAIR], tmp_path / "out.jsonl", 1, "made"
        ):
            pass

    asyncio.run(run())
    assert json.loads((tmp_path / "out.jsonl").read_text())["flipped"] is True
