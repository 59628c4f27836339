from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from writing_rl.judging.client.chat_model import Answer
from writing_rl.judging.compare import Call, Comparison
from writing_rl.judging.verdict import Outcome, Verdict
from writing_rl.runlog.transcript import Transcript

COMPARISON = Comparison(
    Outcome.WIN,
    (Outcome.WIN,),
    calls=(
        Call("judge-1", Verdict.B, Answer("Unsure.\n— «Ende»", 100, 20, latency_s=0.25), None),
        Call("judge-1", Verdict.B, Answer("[[B]]", 130, 5, latency_s=0.1234, cost_usd=0.5), Verdict.B),
    ),
)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.iterdir()) for line in path.read_text().splitlines()]


def test_a_comparison_is_one_line_with_everything_about_it(tmp_path: Path) -> None:
    transcript = Transcript(tmp_path / "judge", characters=8)
    transcript.write(COMPARISON, {"step": 3, "id": 7}, {"response": "A long response", "reference": "Short"})
    assert lines(tmp_path / "judge") == [
        {
            "step": 3,
            "id": 7,
            "outcome": "win",
            "reason": "",
            "detail": "",
            "flipped": False,
            "votes": ["win"],
            "calls": [
                {
                    "judge": "judge-1",
                    "order": "reference first",
                    "verdict": None,
                    "latency_s": 0.25,
                    "prompt_tokens": 100,
                    "completion_tokens": 20,
                    "cost_usd": None,
                    "cached": False,
                    "text": "Unsure.\n",
                },
                {
                    "judge": "judge-1",
                    "order": "reference first",
                    "verdict": "B",
                    "latency_s": 0.123,
                    "prompt_tokens": 130,
                    "completion_tokens": 5,
                    "cost_usd": 0.5,
                    "cached": False,
                    "text": "[[B]]",
                },
            ],
            "response": "A long r",
            "reference": "Short",
        }
    ]


def test_no_text_is_kept_where_none_is_wanted(tmp_path: Path) -> None:
    Transcript(tmp_path, characters=0).write(COMPARISON, {}, {"response": "secret"})
    (line,) = lines(tmp_path)
    assert "response" not in line
    assert not any("text" in call for call in line["calls"])


def test_half_a_character_is_replaced(tmp_path: Path) -> None:
    unscored = Comparison(Outcome.UNSCORED, reason="http_500", detail="cut off \ud83d")
    Transcript(tmp_path, characters=8).write(unscored, {}, {"response": "«Ende»"})
    (line,) = lines(tmp_path)
    assert (line["detail"], line["response"]) == ("cut off ?", "«Ende»")


def test_pandas_reads_it_in_one_line(tmp_path: Path) -> None:
    import pandas

    transcript = Transcript(tmp_path, characters=100)
    for step in range(3):
        transcript.write(COMPARISON, {"step": step}, {"response": "\ud800 half a character, \u2028 and \x00"})
    (path,) = tmp_path.iterdir()
    frame = pandas.read_json(path, lines=True)
    assert list(frame["step"]) == [0, 1, 2]
    assert frame["outcome"].unique() == ["win"]


def test_a_full_file_is_followed_by_the_next(tmp_path: Path) -> None:
    first, second = (Transcript(tmp_path, characters=0, full_bytes=1000) for _ in range(2))
    for step in range(10):
        first.write(COMPARISON, {"step": step}, {})
        second.write(COMPARISON, {"step": step}, {})
    assert len(list(tmp_path.iterdir())) > 2
    assert all(path.stat().st_size < 1000 + 400 for path in tmp_path.iterdir())
    assert sorted(line["step"] for line in lines(tmp_path)) == sorted(2 * list(range(10)))


def test_a_transcript_that_cannot_be_written_says_so_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "judge").write_text("a file where the folder should be")
    transcript = Transcript(tmp_path / "judge", characters=0)
    for _ in range(3):
        transcript.write(COMPARISON, {}, {})
    assert capsys.readouterr().out.count("no transcript of the judge from here on") == 1
