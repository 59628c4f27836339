from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from writing_rl.dataset.samples import Sample
from writing_rl.errors import JudgeError
from writing_rl.judging.settings import JudgeSettings
from writing_rl.launch.judge_trial import announce, measure

SAMPLES = [
    Sample(
        n,
        n,
        "train",
        ({"role": "user", "content": "Write."},),
        "Write.",
        ("one two", "one two three four"),
        None,
    )
    for n in range(3)
]


def words(text: str) -> int:
    return len(text.split())


def settings(url: str, model: str = "gpt-4.1", **more: Any) -> JudgeSettings:
    return JudgeSettings(models=(model,), base_url=url, max_retries=0, deadline_s=20.0, **more)


def test_the_cost_is_said_before_anybody_is_asked(judge_server: Any) -> None:
    said = announce(settings(judge_server.url, max_tokens=1000), SAMPLES, words)
    # 600 tokens of instructions a question at $2 a million, and 1,000 to write at $8.
    assert said == "asking gpt-4.1 3 real questions, about 1,821 tokens to read, at most $0.03"
    assert judge_server.requests == []
    assert announce(settings(judge_server.url, "my-own"), SAMPLES[:1], words).endswith(
        "at a price that is not known"
    )


def test_what_answers_took_and_what_they_cost_is_measured(judge_server: Any, reply: Any) -> None:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "[[A]]"}}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    body["usage"] = {"prompt_tokens": 700, "completion_tokens": 50, "total_tokens": 750}
    judge_server.replies = [reply(body=json.dumps(body))]
    judge = measure(settings(judge_server.url), SAMPLES, words)
    assert len(judge_server.requests) == 3
    assert (judge.prompt_tokens, judge.completion_tokens, judge.text_tokens) == (700, 50, 3)
    assert (judge.input_usd, judge.output_usd) == (pytest.approx(2e-6), pytest.approx(8e-6))
    assert judge.seconds > 0


def test_tiers_and_thinking_are_in_the_rates(judge_server: Any, reply: Any, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "m: {input: 1, output: 2, above: {600: {input: 3, output: 5, thinking_output: 9}}}"
    )
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "[[A]]"}}
    usage = {
        "prompt_tokens": 700,
        "completion_tokens": 50,
        "completion_tokens_details": {"reasoning_tokens": 40},
    }
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    judge_server.replies = [reply(body=json.dumps({**body, "usage": usage}))]
    judge = measure(settings(judge_server.url, "m", prices=str(tmp_path / "p.yaml")), SAMPLES, words)
    assert (judge.input_usd, judge.output_usd) == (pytest.approx(3e-6), pytest.approx(9e-6))


def test_a_judge_that_answers_nothing_is_named_with_the_reason(judge_server: Any, reply: Any) -> None:
    judge_server.replies = [reply(status=500)]
    with pytest.raises(JudgeError, match="the judge answered no question"):
        measure(settings(judge_server.url), SAMPLES[:1], words)
