"""Parameters of requests: the user's, those learnt from refusals, and the defaults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.field.endpoints import FieldServer
from tests.field.judging import at_dashscope, judge_all, judged, sample, settings_for
from writing_rl.errors import JudgeError, SettingError
from writing_rl.judging.factory import close_all, make_channel, make_judges
from writing_rl.judging.judge import load_templates
from writing_rl.judging.providers import make_chat
from writing_rl.judging.settings import JudgeSettings
from writing_rl.judging.verdict import Outcome
from writing_rl.launch import preflight
from writing_rl.settings import Settings

TEXTS = [f"A response, number {number}." for number in range(12)]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch, field_server: FieldServer) -> None:
    for name in ("OPENAI_API_KEY", "DASHSCOPE_API_KEY"):
        monkeypatch.setenv(name, "sk-0123456789abcdef")
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", f"{field_server.origin}/api/v1")


def start(settings: JudgeSettings) -> dict[str, dict[str, Any]]:
    """What the start's question teaches."""
    run = Settings("index.json", "logs", settings)
    return preflight.check_judge(run, [sample("A text.")], "train.parquet")


LEARNT = {
    "gpt-5-mini": {"max_tokens": None, "max_completion_tokens": 2048, "temperature": None},
    "claude-opus-4-7": {"temperature": None},
    "qwen3-32b": {"enable_thinking": False},
    "strict-gateway": {"max_tokens": None, "temperature": None},
    "short-answers": {"max_tokens": None},
}


@pytest.mark.parametrize("model", LEARNT)
def test_refused_defaults_are_learnt_at_the_start_and_known_to_all_workers(
    field_server: FieldServer, model: str, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for(model, field_server)
    learnt = start(settings)
    assert learnt == {model: LEARNT[model]}
    said = [line for line in capfd.readouterr().err.splitlines() if "refuses" in line]
    assert len(said) == len({name for name in LEARNT[model] if name != "max_completion_tokens"})
    before = len(field_server.requests)
    worker = settings_for(model, field_server, learnt=learnt)
    assert {comparison.outcome for comparison in judged(worker, TEXTS)} == {Outcome.WIN}
    assert len(field_server.requests) - before == len(TEXTS)  # no refusal more
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("model", ["qwen3-32b", "short-answers"])
def test_parameters_are_learnt_through_dashscopes_sdk_as_well(field_server: FieldServer, model: str) -> None:
    assert start(at_dashscope(settings_for(model, field_server))) == {model: LEARNT[model]}


@pytest.mark.parametrize("model", LEARNT)
def test_requests_that_are_refused_at_the_same_moment_are_all_answered(
    field_server: FieldServer, model: str, capfd: pytest.CaptureFixture[str]
) -> None:
    # As `compute_score` alone learns, and all tools: at the first refusal.
    comparisons = judged(settings_for(model, field_server), TEXTS, parallel=len(TEXTS))
    assert {comparison.outcome for comparison in comparisons} == {Outcome.WIN}
    said = [line for line in capfd.readouterr().err.splitlines() if "refuses" in line]
    assert len(said) == len(set(said)) <= 2


def test_what_was_learnt_is_part_of_the_key_of_the_cache(field_server: FieldServer) -> None:
    fresh = make_chat("gpt-5-mini", settings_for("gpt-5-mini", field_server))
    learnt = make_chat("gpt-5-mini", settings_for("gpt-5-mini", field_server, learnt=LEARNT))
    default = make_chat("other", settings_for("other", field_server))
    assert fresh.identity != learnt.identity
    assert "'max_tokens': 2048" in default.identity

    async def ask() -> str:
        await fresh.complete([{"role": "user", "content": "?"}])
        await fresh.close()
        return fresh.identity

    assert asyncio.run(ask()) == learnt.identity


@pytest.mark.parametrize("dashscope", [False, True], ids=["openai", "dashscope"])
def test_the_users_parameters_go_through_and_null_leaves_one_out(
    field_server: FieldServer, dashscope: bool
) -> None:
    request = {
        "top_p": 0.9,
        "top_k": 20,
        "min_p": 0.05,
        "reasoning_effort": "low",
        "enable_thinking": False,
        "temperature": None,
    }
    by_model = {"QWEN3": {"top_k": 40}, "qwen3-32b": {"top_k": 50}, "gpt": {"top_k": 60}}
    settings = settings_for("qwen3-32b", field_server, request=request, request_by_model=by_model)
    judged(at_dashscope(settings) if dashscope else settings, TEXTS[:1])
    (sent,) = field_server.requests
    parameters = sent.body["parameters"] if dashscope else sent.body
    expected = {**request, "top_k": 50, "max_tokens": 2048}
    del expected["temperature"]
    assert {name: parameters[name] for name in expected} == expected
    assert "temperature" not in parameters


def test_a_limit_of_the_users_own_replaces_ours(field_server: FieldServer) -> None:
    judged(settings_for("gpt-5-mini", field_server, request={"max_completion_tokens": 9000}), TEXTS[:1])
    assert "max_tokens" not in field_server.requests[0].body
    assert field_server.requests[-1].body["max_completion_tokens"] == 9000


@pytest.mark.parametrize(
    ("model", "more", "words"),
    [
        ("gpt-5-mini", {"request": {"temperature": 0.3}}, ["temperature", "writing_rl.judge.request"]),
        ("gpt-5-mini", {"request": {"max_tokens": 9}}, ["max_tokens", "writing_rl.judge.request"]),
        ("qwen3-32b", {"request": {"enable_thinking": True}}, ["enable_thinking", "must be set to false"]),
        (
            "claude-opus-4-7",
            {"temperature": 0.5, "own": frozenset({"temperature"})},
            ["writing_rl.judge.temperature", "deprecated"],
        ),
        (
            "short-answers",
            {"max_tokens": 3000, "own": frozenset({"max_tokens"})},
            ["writing_rl.judge.max_tokens", "[1, 1024]"],
        ),
    ],
)
def test_a_refused_parameter_of_the_user_ends_the_start_in_a_line(
    field_server: FieldServer, model: str, more: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(JudgeError) as error:
        start(settings_for(model, field_server, **more))
    assert [word for word in words if word not in str(error.value)] == []
    assert "\n" not in str(error.value)


def test_a_limit_that_the_user_set_is_sent_under_another_name(field_server: FieldServer) -> None:
    settings = settings_for("gpt-5-mini", field_server, max_tokens=9000, own=frozenset({"max_tokens"}))
    assert start(settings)["gpt-5-mini"]["max_completion_tokens"] == 9000


def test_a_model_that_only_thinks_is_not_told_not_to(field_server: FieldServer) -> None:
    model = "qwen3-235b-a22b-thinking-2507"
    assert start(settings_for(model, field_server)) == {}


def test_a_thinking_judge_that_is_cut_off_names_the_number_to_set(field_server: FieldServer) -> None:
    with pytest.raises(JudgeError) as error:
        start(settings_for("thinks-too-long", field_server, ask_again=0))
    message = str(error.value)
    assert "2,048 of them for thinking" in message
    assert "writing_rl.judge.max_tokens=8192" in message
    start(settings_for("thinks-too-long", field_server, max_tokens=8192))


def test_a_model_at_dashscopes_other_address_says_which(field_server: FieldServer) -> None:
    settings = settings_for("qwen3.5-plus", field_server)
    with pytest.raises(JudgeError) as error:
        start(at_dashscope(settings))
    assert "OPENAI_BASE_URL=https://dashscope.aliyuncs.com/compatible-mode/v1" in str(error.value)
    start(settings)


def test_a_model_that_dashscope_may_have_offers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(SettingError, match=r"providers=\{deepseek-r1: dashscope\}"):
        make_chat("deepseek-r1", JudgeSettings(models=("deepseek-r1",)))
    monkeypatch.delenv("DASHSCOPE_API_KEY")
    with pytest.raises(SettingError) as error:
        make_chat("deepseek-r1", JudgeSettings(models=("deepseek-r1",)))
    assert "providers" not in str(error.value)


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("azure-deployment", "/openai/deployments/judge?api-version=2024-10-21"),
        ("azure-deployment", "/openai/deployments/judge/?api-version=2024-10-21"),
        ("azure-deployment", "/openai/deployments/judge/chat/completions?api-version=2024-10-21"),
        ("azure-v1", "/openai/v1"),
        ("azure-v1", "/openai/v1/"),
    ],
)
def test_both_kinds_of_addresses_of_azure_work(field_server: FieldServer, model: str, path: str) -> None:
    start(settings_for(model, field_server, base_url=field_server.origin + path))


def test_a_judge_that_learnt_goes_on_where_a_gateway_refuses_later(field_server: FieldServer) -> None:
    field_server.behaviours["moody"] = lambda request: field_server.answer(
        "claude-opus-4-7" if request.number > 3 else "parts", request
    )
    settings = settings_for("moody", field_server)
    comparisons = judged(settings, TEXTS, parallel=1)
    assert {comparison.outcome for comparison in comparisons} == {Outcome.WIN}


PAIR = {"id": 1, "prompt": "Write.", "response_a": "First.", "response_b": "Second."}


def test_tools_take_parameters_as_json(
    field_server: FieldServer, run_cli: Callable[..., Any], tmp_path: Path
) -> None:
    pairs, output = tmp_path / "pairs.jsonl", tmp_path / "verdicts.jsonl"
    pairs.write_text(json.dumps(PAIR) + "\n", encoding="utf-8")
    common = (
        pairs,
        "--output",
        output,
        "--judge",
        "claude-opus-4-7",
        "--base-url",
        field_server.url,
    )
    done = run_cli("judge", "pairs", *common, "--request", '{"reasoning_effort": "low", "top_p": 0.5}')
    assert done.code == 0
    assert json.loads(output.read_text(encoding="utf-8"))["verdict"] == "A"
    sent = field_server.requests[-1].body
    assert (sent["reasoning_effort"], sent["top_p"]) == ("low", 0.5)
    assert "temperature" not in sent
    for wrong, words in (
        ("{", "--request is not JSON"),
        ("[1]", "--request is [1]: it must be a mapping"),
        ('{"messages": []}', "--request sets messages"),
        ('{"api_key": "x"}', "keys come from the environment"),
    ):
        done = run_cli("judge", "pairs", *common, "--request", wrong)
        assert done.code == 1
        assert words in done.err
        assert len(done.err.strip().splitlines()) == 1


def test_judges_of_a_process_share_what_they_learn(field_server: FieldServer) -> None:
    async def run() -> None:
        settings = settings_for("gpt-5-mini", field_server)
        judges = make_judges(settings, load_templates(), make_channel(settings))
        try:
            await judge_all(judges, settings, TEXTS)
            refused = len(field_server.requests) - len(TEXTS)
            await judge_all(judges, settings, TEXTS)
            assert len(field_server.requests) == refused + 2 * len(TEXTS)
        finally:
            await close_all(judges)

    asyncio.run(run())
