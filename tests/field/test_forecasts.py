"""What the data stages say of calls and dollars before the first call that costs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.field.endpoints import FieldServer, Request, Response, message

Script = Callable[..., Any]

TEXTS = ("The sea is big. It is blue.", "When the tide went out, it left the boat on the sand.")


@pytest.fixture
def options(field_server: FieldServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What all stages are told; `m` writes, grades and compares."""

    def answer(request: Request) -> Response:
        grades = "Grade" in request.text or "grade" in request.text
        response = message("[[7, 7, 7, 7, 7]]" if grades else "[[A]]")
        usage = {"prompt_tokens": 300, "completion_tokens": 10}
        return Response(body={**response.body, "usage": usage})

    field_server.behaviours["m"] = answer
    (tmp_path / "prices.yaml").write_text("m: {input: 1, output: 10}\n")
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("OPENAI_BASE_URL", field_server.url)
    return ["--prices", tmp_path / "prices.yaml", "--parallel", 1]


def lines(path: Path, *entries: dict[str, Any]) -> Path:
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    return path


def pairs(path: Path, count: int) -> Path:
    pair = {"prompt": "Write.", "response_a": TEXTS[0], "response_b": TEXTS[1], "label": "A"}
    return lines(path, *({"id": number, **pair, "prompt": f"Write {number}."} for number in range(count)))


def forecast(done: Any, what: str) -> tuple[int, float, float]:
    """Calls, and dollars about and at most, of a stage's line."""
    found = re.search(
        rf"^{what}: ([\d,]+) calls? to m, about .* tokens in and at most .* out: "
        r"about \$([\d.]+) with .* tokens an answer, at most \$([\d.]+) \(m in .*prices.yaml\)$",
        done.err,
        re.MULTILINE,
    )
    assert found, done.err
    return int(found[1].replace(",", "")), float(found[2]), float(found[3])


def test_pairs_are_forecast_and_a_resumed_start_counts_what_is_left(
    run_cli: Script, field_server: FieldServer, tmp_path: Path, options: list[object]
) -> None:
    given = ["--judge", "m", pairs(tmp_path / "in.jsonl", 5), "--output", tmp_path / "out.jsonl"]
    first = run_cli("judge", "pairs", *given, *options, "--order", "both", "--max-calls", 4)
    calls, about, most = forecast(first, "comparisons")
    assert calls == 10
    assert 0 < about < most
    assert "--max-calls 4 ends this start after 4 of 10 calls" in first.err
    assert len(field_server.requests) == 4
    judged = len((tmp_path / "out.jsonl").read_text().splitlines())
    assert judged > 0
    second = run_cli("judge", "pairs", *given, *options, "--order", "both")
    assert forecast(second, "comparisons")[0] == 10 - 2 * judged
    third = run_cli("judge", "pairs", *given, *options, "--order", "both")
    assert "comparisons" not in third.err


def test_a_budget_below_the_forecast_says_how_far_it_comes(
    run_cli: Script, tmp_path: Path, options: list[object]
) -> None:
    given = ["--judge", "m", pairs(tmp_path / "in.jsonl", 40), "--output", tmp_path / "out.jsonl"]
    done = run_cli("judge", "calibrate", *given, *options, "--max-cost-usd", 0.1)
    calls, about, _ = forecast(done, "comparisons")
    assert calls == 80
    found = re.search(r"--max-cost-usd 0.1 ends this start after about (\d+) of 80 calls", done.err)
    assert found
    assert int(found[1]) == pytest.approx(80 * 0.1 / about, abs=2)


def test_responses_are_forecast_before_one_is_asked_for(
    run_cli: Script, field_server: FieldServer, tmp_path: Path, options: list[object]
) -> None:
    prompts = lines(tmp_path / "p.jsonl", *({"prompt": f"Write {number}."} for number in range(3)))
    given = [prompts, "--models", "m", "--output", tmp_path / "out.jsonl", "--samples", 2]
    done = run_cli("data", "generate", *given, *options)
    assert forecast(done, "responses")[0] == len(field_server.requests) == 6
    again = run_cli("data", "generate", *given[:-1], 3, *options)
    assert forecast(again, "responses")[0] == 3


def test_grades_and_comparisons_are_forecast_together(
    run_cli: Script, field_server: FieldServer, tmp_path: Path, options: list[object]
) -> None:
    responses = [{"text": text} for text in TEXTS]
    given = lines(
        tmp_path / "in.jsonl", *({"prompt": f"Write {n}.", "responses": responses} for n in range(4))
    )
    arguments = ["--out", tmp_path / "out", "--scores", "grade", "--judge", "m", "--confirm-order"]
    done = run_cli("data", "prepare", given, *arguments, *options, "--max-cost-usd", 0.0001)
    assert done.code == 1
    assert forecast(done, "grades")[0] == 8
    assert forecast(done, "comparisons")[0] == 8
    assert re.search(r"--max-cost-usd 0.0001 ends this start after about \d+ of 16 calls", done.err)
    assert field_server.requests == []


def test_a_selection_forecasts_texts_and_their_grades(
    run_cli: Script, field_server: FieldServer, tmp_path: Path, options: list[object]
) -> None:
    responses = [{"text": text, "score": score} for text, score in zip(TEXTS, (3, 8), strict=True)]
    given = lines(
        tmp_path / "in.jsonl", *({"prompt": f"Write {n}.", "responses": responses} for n in range(4))
    )
    made = run_cli("data", "prepare", given, "--out", tmp_path / "all", "--test-count", 1)
    assert made.code == 0, made.err
    select = [tmp_path / "all" / "train.parquet", "--policy-model", "m", "--judge", "m"]
    select += ["--policy-samples", 2, "--top", 1, "--out", tmp_path / "top.parquet", "--max-calls", 2]
    done = run_cli("data", "select", *select, *options)
    assert forecast(done, "responses")[0] == 6
    assert forecast(done, "grades")[0] == 6
    assert "--max-calls 2 ends this start after 2 of 12 calls" in done.err
    assert len(field_server.requests) == 2


def test_the_offline_judge_has_no_dollars(run_cli: Script, tmp_path: Path) -> None:
    given = [pairs(tmp_path / "in.jsonl", 3), "--output", tmp_path / "out.jsonl"]
    done = run_cli("judge", "pairs", "--judge", "offline", *given)
    assert done.code == 0, done.err
    assert "comparisons: 3 calls to offline, at no cost" in done.err
    assert "$" not in done.err


def test_an_unknown_price_is_told_with_the_line_to_add(
    run_cli: Script, field_server: FieldServer, tmp_path: Path, options: list[object]
) -> None:
    given = ["--judge", "m", pairs(tmp_path / "in.jsonl", 1), "--output", tmp_path / "out.jsonl"]
    (tmp_path / "prices.yaml").write_text("other: {input: 1, output: 1}\n")
    done = run_cli("judge", "pairs", *given, *options)
    assert "no price of m is known: add the line `m: {input: ..., output: ...}`" in done.err
    assert len(field_server.requests) == 1
    refused = run_cli("judge", "pairs", *given, *options, "--max-cost-usd", 1)
    assert refused.code == 1
    assert "Error: max_cost_usd is set, but no price of m is known: add the line" in refused.err
    assert len(field_server.requests) == 1
