"""What answers cost, as endpoints count tokens."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.field.endpoints import FieldServer, Request, Response, error, message
from writing_rl.dataset.samples import Sample
from writing_rl.errors import BudgetSpent
from writing_rl.judging.client.budget import Limits
from writing_rl.judging.client.chat_model import Answer
from writing_rl.judging.client.request_queue import Deadline
from writing_rl.judging.factory import make_channel, make_models
from writing_rl.judging.settings import JudgeSettings
from writing_rl.launch import preflight
from writing_rl.settings import Settings

#: Dollars a token that are easy to add up.
PRICES = (
    "m: {input: 1000000, output: 100000000, cached_input: 10000, thinking_output: 200000000,"
    " above: {1000: {input: 2000000, output: 100000000}}}\n"
)


def answering(usage: Any, content: Any = "[[A]]") -> Any:
    def behaviour(_: Request) -> Response:
        response = message(content)
        return Response(body={**response.body, **({} if usage is None else {"usage": usage})})

    return behaviour


@pytest.fixture
def settings(field_server: FieldServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JudgeSettings:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    (tmp_path / "prices.yaml").write_text(PRICES)
    return JudgeSettings(
        models=("m",), base_url=field_server.url, prices=str(tmp_path / "prices.yaml"), max_tokens=10
    )


def ask(settings: JudgeSettings, times: int = 1) -> list[Answer]:
    """One question after the other, through all that a judge's request goes through."""

    async def run() -> list[Answer]:
        model = make_models(settings, make_channel(settings))["m"]
        assert model is not None
        try:
            question = [{"role": "user", "content": "x"}]
            return [await model.complete(question, Deadline.of(30.0)) for _ in range(times)]
        finally:
            await model.close()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        ({"prompt_tokens": 100, "completion_tokens": 1}, 100 + 100),
        # OpenAI and DashScope; DeepSeek.
        (
            {"prompt_tokens": 100, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 90}},
            10 + 0.9,
        ),
        ({"prompt_tokens": 100, "completion_tokens": 0, "prompt_cache_hit_tokens": 90}, 10 + 0.9),
        # A tier is for all tokens.
        ({"prompt_tokens": 1_001, "completion_tokens": 0}, 2_002),
        (
            {
                "prompt_tokens": 1,
                "completion_tokens": 3,
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
            1 + 600,
        ),
        # xAI: thinking is on top.
        ({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 5}, 1 + 400),
    ],
)
def test_an_answer_costs_what_its_provider_bills(
    settings: JudgeSettings, field_server: FieldServer, usage: Any, dollars: float
) -> None:
    field_server.behaviours["m"] = answering(usage)
    (answer,) = ask(settings)
    assert answer.cost_usd == pytest.approx(dollars)


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 3}, {"total_tokens": "many"}])
def test_an_answer_without_usage_costs_what_it_may_at_most(
    settings: JudgeSettings, field_server: FieldServer, usage: Any
) -> None:
    field_server.behaviours["m"] = answering(usage)
    (answer,) = ask(settings)
    assert answer.cost_usd == pytest.approx(17 + 10 * 200)  # the bytes of the question, and max_tokens


def test_a_budget_is_hard_after_an_answer_beyond_its_limit_of_tokens(
    settings: JudgeSettings, field_server: FieldServer
) -> None:
    # Thinking that no limit counts: 100 tokens where 10 were asked for.
    field_server.behaviours["m"] = answering({"prompt_tokens": 1, "completion_tokens": 100})
    limited = JudgeSettings(**{**vars(settings), "limits": Limits(max_cost_usd=25_000)})
    with pytest.raises(BudgetSpent) as spent:
        ask(limited, times=5)
    # One answer at 10,001; the second and later ones are reserved with what the first has shown: 20,017.
    assert len(field_server.requests) == 1
    assert "10001.0000 of max_cost_usd=25000 after 1 calls" in str(spent.value)


def test_a_reservation_goes_by_what_the_user_and_the_endpoint_make_of_the_request(
    settings: JudgeSettings, field_server: FieldServer
) -> None:
    def behaviour(request: Request) -> Response:
        if "max_tokens" in request.body:
            return error(
                400, "Unsupported parameter: 'max_tokens'.", code="unsupported_parameter", param="max_tokens"
            )
        return message("[[A]]")

    question = len(b"x") + 16
    # The user's limit, with a budget of thinking on top; the answer tells no usage, and so costs the most.
    field_server.behaviours["m"] = answering(None)
    request = {"max_completion_tokens": 20, "thinking_budget": 30}
    (answer,) = ask(JudgeSettings(**{**vars(settings), "request": request}))
    assert answer.cost_usd == pytest.approx(question + len(json.dumps(request)) + 50 * 200)
    # A limit that the endpoint refuses is sent by another name, and counts as before.
    field_server.behaviours["m"] = behaviour
    second = ask(settings, times=2)[1]
    assert field_server.requests[-1].body["max_completion_tokens"] == 10
    assert second.cost_usd == pytest.approx(question + 10 * 200, rel=0.05)


def test_the_file_of_prices_that_the_message_asks_for_is_enough(
    settings: JudgeSettings, field_server: FieldServer, tmp_path: Path
) -> None:
    field_server.behaviours["m"] = answering({"prompt_tokens": 1, "completion_tokens": 1})
    (tmp_path / "prices.yaml").write_text("m: gpt-4.1\n")  # a deployment, by the model that it is billed as
    (answer,) = ask(settings)
    assert answer.cost_usd == pytest.approx(10e-6)
    assert json.dumps(field_server.requests[0].body["model"]) == '"m"'


def test_the_start_says_which_price_counts_and_of_which_day(
    field_server: FieldServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    field_server.behaviours |= dict.fromkeys(("gpt-4.1", "house"), answering(None))
    judge = JudgeSettings(models=("gpt-4.1", "house"), base_url=field_server.url)
    settings = Settings("index.json", str(tmp_path), judge)
    task = ({"role": "user", "content": "Write."},)
    sample = Sample(1, 1, "train", task, "Write.", ("one two", "three four"), None)
    preflight.check_judge(settings, [sample], "train.parquet")
    known, unknown = (line for line in capsys.readouterr().err.splitlines() if "price of" in line)
    assert known.startswith("[writing-rl] price of gpt-4.1: $2 a million tokens read ($0.5 from the cache), ")
    assert re.search(
        r"list price, as none is known of 127.0.0.1, genai-prices \S+ of 20\d\d-\d\d-\d\d\)$", known
    )
    assert "no price of house is known: add the line `house: {input: ..., output: ...}`" in unknown
