"""The providers of judges, against real HTTP servers on the loopback interface, by their real SDKs."""

from __future__ import annotations

import asyncio
import json
import socket
import traceback
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from writing_rl.errors import JudgeError, MayBeFinal, SettingError, SetupError, Transient, Unreached, Unscored
from writing_rl.judging.client.chat_model import Answer, Chat, Messages
from writing_rl.judging.providers import Served, make_chat, provider_of
from writing_rl.judging.providers.checked import CheckedChat
from writing_rl.judging.providers.dashscope_sdk import DashScopeChat
from writing_rl.judging.providers.failures import retry_after_s
from writing_rl.judging.providers.openai_compatible import OpenAICompatibleChat
from writing_rl.judging.settings import JudgeSettings

KEY = "sk-0123456789abcdef"
MESSAGES = [{"role": "user", "content": "Which is better?"}]
SETTINGS = JudgeSettings(("judge-1",), parallel=8, temperature=0.25, max_tokens=77, request_timeout_s=20.0)

#: Makes the client of a provider for an endpoint.
CLIENTS: dict[str, Callable[[str], Chat]] = {
    "openai": lambda url: OpenAICompatibleChat("judge-1", url, SETTINGS),
    "dashscope": lambda url: DashScopeChat("judge-1", SETTINGS, base_address=url),
}


@pytest.fixture(params=sorted(CLIENTS))
def provider(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)


def body(provider: str, text: str | None, ending: str = "stop", tokens: tuple[int, int] = (11, 7)) -> str:
    """An answer in the form of a provider."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": ending}
    if provider == "dashscope":
        usage = {"input_tokens": tokens[0], "output_tokens": tokens[1], "total_tokens": sum(tokens)}
        return json.dumps({"request_id": "1", "output": {"choices": [choice]}, "usage": usage})
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    return json.dumps(
        {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [choice],
            "usage": usage,
        }
    )


def refusal(provider: str, code: str, message: str = "no") -> str:
    """The body of an error in the form of a provider."""
    error = {"code": code, "message": message}
    return json.dumps({"request_id": "1", **error} if provider == "dashscope" else {"error": error})


async def complete(provider: str, url: str) -> Answer:
    chat = CLIENTS[provider](url)
    try:
        return await chat.complete(MESSAGES)
    finally:
        await chat.close()


async def test_the_judges_text_and_tokens_come_back(judge_server: Any, reply: Any, provider: str) -> None:
    judge_server.replies = [reply(body=body(provider, "Text A is better.\n[[A]]"))]
    assert await complete(provider, judge_server.url) == Answer("Text A is better.\n[[A]]", 11, 7)
    (request,) = judge_server.requests
    assert request["model"] == "judge-1"
    sampling = request if provider == "openai" else request["parameters"]
    assert (sampling["temperature"], sampling["max_tokens"]) == (0.25, 77)
    assert (request if provider == "openai" else request["input"])["messages"] == MESSAGES
    assert judge_server.keys == [f"Bearer {KEY}"]


async def test_an_answer_that_was_cut_off_says_so(judge_server: Any, reply: Any, provider: str) -> None:
    judge_server.replies = [reply(body=body(provider, "[[A]] would be", "length"))]
    assert (await complete(provider, judge_server.url)).truncated


async def test_connections_are_kept(judge_server: Any, reply: Any, provider: str) -> None:
    judge_server.replies = [reply(body=body(provider, "[[A]]"))]
    chat = CLIENTS[provider](judge_server.url)
    for _ in range(5):
        await chat.complete(MESSAGES)
    await chat.close()
    assert judge_server.connections == 1


@pytest.mark.parametrize(
    ("status", "code", "kind", "reason"),
    [
        (429, "Throttling.RateQuota", Transient, "http_429"),
        (500, "InternalError", Transient, "http_500"),
        (503, "", Unreached, "http_503"),
        (408, "", Transient, "http_408"),
        (400, "InvalidParameter", Unscored, "http_400"),
        (400, "DataInspectionFailed", Unscored, "content_filter"),
        (400, "data_inspection_failed", Unscored, "content_filter"),
        (400, "content_filter", Unscored, "content_filter"),
    ],
)
async def test_a_failure_has_its_reason_and_whether_it_may_pass(
    judge_server: Any, reply: Any, provider: str, status: int, code: str, kind: type, reason: str
) -> None:
    judge_server.replies = [reply(status=status, body=refusal(provider, code, "says the provider"))]
    with pytest.raises(Unscored) as error:
        await complete(provider, judge_server.url)
    assert type(error.value) is kind
    assert error.value.reason == reason
    assert "says the provider" in error.value.detail
    assert len(judge_server.requests) == 1  # asking again is the channel's


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (401, "InvalidApiKey", "refuses the key (401 InvalidApiKey: no): check {variable}"),
        (
            403,
            "AccessDenied",
            "refuses access (403 AccessDenied: no): check {variable} and what its account may use",
        ),
        (404, "ModelNotFound", "is not there (404 ModelNotFound: no): check its name and OPENAI_BASE_URL"),
        (
            429,
            "insufficient_quota",
            "has no credit left (429 insufficient_quota: no): look at the account of {variable}",
        ),
        (400, "Arrearage", "has no credit left (400 Arrearage: no): look at the account of {variable}"),
    ],
)
async def test_a_failure_of_every_question_names_the_remedy(
    judge_server: Any, reply: Any, provider: str, status: int, code: str, message: str
) -> None:
    judge_server.replies = [reply(status=status, body=refusal(provider, code))]
    with pytest.raises((JudgeError, MayBeFinal)) as error:
        await complete(provider, judge_server.url)
    final = getattr(error.value, "final", error.value)
    place = {"openai": "judge-1 at 127.0.0.1", "dashscope": "judge-1 at DashScope"}[provider]
    variable = {"openai": "OPENAI_API_KEY", "dashscope": "DASHSCOPE_API_KEY"}[provider]
    assert str(final) == f"model {place} {message.format(variable=variable)}"


async def test_a_failed_request_asks_whether_the_server_is_still_there() -> None:
    class Failing:
        description = identity = "a fake"

        async def complete(self, messages: Messages) -> Answer:
            raise Transient("connection", "cut")

        async def close(self) -> None: ...

    def ended() -> None:
        raise SetupError("the server has ended")

    with pytest.raises(Transient, match="cut"):
        await CheckedChat(Failing(), lambda: None).complete([])
    with pytest.raises(SetupError, match="has ended"):
        await CheckedChat(Failing(), ended).complete([])


async def test_a_busy_provider_says_when_to_ask_again(judge_server: Any, reply: Any, provider: str) -> None:
    judge_server.replies = [reply(status=429, body=refusal(provider, ""), headers={"Retry-After": "17"})]
    with pytest.raises(Transient) as error:
        await complete(provider, judge_server.url)
    assert error.value.after_s == 17.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "3"}, 3.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"Retry-After": "Sat, 21 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"Retry-After": "Sat, 21 Nov 2026 11:00:00 GMT"}, 0.0),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, datetime(2026, 11, 21, 12, tzinfo=timezone.utc)) == seconds


async def test_a_refused_connection_may_pass(provider: str) -> None:
    with socket.socket() as unused:  # bound and not listening: nobody else can be given the port meanwhile
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Transient) as error:
            await complete(provider, f"http://127.0.0.1:{unused.getsockname()[1]}/v1")
    assert (error.value.reason, error.value.tokens) == ("connection", (0, 0))


async def test_a_connection_that_is_cut_may_pass_and_may_have_been_billed(provider: str) -> None:
    requests = 0

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        requests += 1
        await reader.readline()
        writer.close()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    with pytest.raises(Transient) as error:
        await complete(provider, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    assert (error.value.reason, error.value.tokens) == ("connection", None)
    assert requests == 1  # asking again, and counting it, is the channel's
    server.close()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ('{"id": "1", "choices": [], "output": {"choices": []}}', "application/json"),
        ('{"id": "1"}', "application/json"),
        ('{"error": "busy"}', "application/json"),
        ('{"choices": [{"index": 0}], "output": {"choices": [{"index": 0}]}}', "application/json"),
        ("[]", "application/json"),
        ("not json", "application/json"),
        ("<html>the start page of something else</html>", "text/html"),
        ("", "text/plain"),
    ],
    ids=["no choices", "no list", "error", "no message", "list", "no json", "page", "nothing"],
)
async def test_an_answer_in_another_form_is_unscored(
    judge_server: Any, reply: Any, provider: str, content: str, kind: str
) -> None:
    judge_server.replies = [reply(body=content, headers={"Content-Type": kind})]
    with pytest.raises(Unscored):
        await complete(provider, judge_server.url)


@pytest.mark.parametrize("text", [None, ""])
async def test_an_empty_answer_is_unscored(
    judge_server: Any, reply: Any, provider: str, text: str | None
) -> None:
    judge_server.replies = [reply(body=body(provider, text))]
    with pytest.raises(Unscored):
        await complete(provider, judge_server.url)


@pytest.mark.parametrize(
    "count", ["Infinity", "1e999", "-5000", '"many"', "{}", "null", "true", "1" + "0" * 400]
)
async def test_with_a_count_of_tokens_that_is_none_the_bill_is_not_known(
    judge_server: Any, reply: Any, provider: str, count: str
) -> None:
    content = body(provider, "[[A]]", tokens=(987654, 7)).replace("987654", count)
    judge_server.replies = [reply(body=content)]
    answer = await complete(provider, judge_server.url)
    assert (answer.prompt_tokens, answer.completion_tokens) == (0, 0)


@pytest.mark.parametrize("content", [[{"type": "image", "url": "u"}], [3], 7, {"a": 1}])
async def test_content_that_is_no_text_is_unscored(
    judge_server: Any, reply: Any, provider: str, content: Any
) -> None:
    judge_server.replies = [reply(body=body(provider, content))]
    with pytest.raises(Unscored, match="malformed"):
        await complete(provider, judge_server.url)


async def test_half_a_character_is_replaced(judge_server: Any, reply: Any, provider: str) -> None:
    judge_server.replies = [reply(body=body(provider, "cut off \ud83d"))]
    (await complete(provider, judge_server.url)).text.encode()


async def test_what_was_billed_for_nothing_is_told(judge_server: Any, reply: Any, provider: str) -> None:
    judge_server.replies = [reply(body=body(provider, "", tokens=(500, 20)))]
    with pytest.raises(Unscored) as error:
        await complete(provider, judge_server.url)
    assert error.value.tokens == (500, 20)


async def test_a_withheld_answer_and_a_refusal_are_no_answers(judge_server: Any, reply: Any) -> None:
    refused = json.loads(body("openai", None))
    refused["choices"][0]["message"]["refusal"] = "I cannot judge this."
    judge_server.replies = [
        reply(body=body("openai", "", "content_filter")),
        reply(body=json.dumps(refused)),
    ]
    chat = CLIENTS["openai"](judge_server.url)
    for reason in ("content_filter", "refusal"):
        with pytest.raises(Unscored) as error:
            await chat.complete(MESSAGES)
        assert type(error.value) is Unscored
        assert error.value.reason == reason


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
async def test_the_key_is_in_no_error_and_no_log(
    judge_server: Any, reply: Any, provider: str, status: int, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    content = refusal(provider, "", f"Incorrect API key provided: {KEY}")
    judge_server.replies = [reply(status=status, body=content)]
    with pytest.raises((JudgeError, Unscored)) as error:
        await complete(provider, judge_server.url)
    output = capfd.readouterr()
    assert KEY not in str(error.value) + repr(error.value) + caplog.text + output.out + output.err


async def test_a_key_that_no_header_can_hold_is_in_no_traceback(
    judge_server: Any, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "DASHSCOPE_API_KEY"):
        monkeypatch.setenv(name, f"{KEY}\nsecond line")
    with pytest.raises((JudgeError, SettingError, Unscored)) as error:
        await complete(provider, judge_server.url)
    assert KEY not in "".join(traceback.format_exception(error.value))


async def test_a_line_break_after_the_key_does_no_harm(
    judge_server: Any, reply: Any, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "DASHSCOPE_API_KEY"):
        monkeypatch.setenv(name, f"{KEY}\n")
    judge_server.replies = [reply(body=body(provider, "[[A]]"))]
    await complete(provider, judge_server.url)
    assert judge_server.keys == [f"Bearer {KEY}"]


async def test_an_endpoint_of_ones_own_needs_no_key(
    judge_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    await complete("openai", judge_server.url)
    assert judge_server.keys == ["Bearer none"]


@pytest.mark.parametrize(("model", "variable"), [("gpt-4.1", "OPENAI"), ("qwen-plus", "DASHSCOPE")])
def test_a_key_that_is_needed_is_named(model: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"{variable}_API_KEY")
    with pytest.raises(SettingError, match=f"set {variable}_API_KEY, or OPENAI_BASE_URL"):
        make_chat(model, JudgeSettings(models=(model,)))


def test_the_description_names_model_and_host_and_no_key(judge_server: Any) -> None:
    assert CLIENTS["openai"](judge_server.url).description == "judge-1 at 127.0.0.1"
    assert KEY not in CLIENTS["openai"](judge_server.url.replace("//", f"//user:{KEY}@")).description


async def test_dashscopes_data_inspection_is_a_setting(judge_server: Any, reply: Any) -> None:
    header = '{"input": "disable", "output": "disable"}'
    judge_server.replies = [reply(body=body("dashscope", "[[A]]"))]
    settings = JudgeSettings(models=("qwen-plus",), data_inspection=header)
    chat = DashScopeChat("qwen-plus", settings, base_address=judge_server.url)
    for _ in range(2):
        await chat.complete(MESSAGES)
    await chat.close()
    assert [headers["X-DashScope-DataInspection"] for headers in judge_server.headers] == [header] * 2
    await complete("dashscope", judge_server.url)
    assert "X-DashScope-DataInspection" not in judge_server.headers[-1]


@pytest.mark.parametrize(
    ("model", "base_url", "providers", "expected"),
    [
        ("gpt-4.1", None, {}, "openai"),
        ("qwen-plus", None, {}, "dashscope"),
        ("Qwen3-Max", None, {}, "dashscope"),
        ("Qwen/Qwen2.5-7B-Instruct", None, {}, "openai"),
        ("qwen-plus", "http://here/v1", {}, "openai"),
        ("offline", "http://here/v1", {}, "offline"),
        ("verl", "http://here/v1", {}, "verl"),
        ("qwen-plus", None, {"qwen-plus": "openai"}, "openai"),
        ("qwen-plus", "http://here/v1", {"qwen": "dashscope"}, "dashscope"),
        ("house-model", None, {"": "dashscope"}, "dashscope"),
    ],
)
def test_a_models_provider(
    model: str, base_url: str | None, providers: dict[str, str], expected: str
) -> None:
    settings = JudgeSettings(models=(model,), base_url=base_url, providers=providers)
    assert provider_of(model, settings) == expected


def test_an_unknown_provider_names_the_choices() -> None:
    with pytest.raises(SettingError, match="names 'azure': choose one of openai, dashscope, verl, offline"):
        provider_of("gpt", JudgeSettings(models=("gpt",), providers={"gpt": "azure"}))


async def test_the_judge_that_verl_serves_is_asked_at_its_router(judge_server: Any) -> None:
    settings = JudgeSettings(models=("verl",))
    address = judge_server.url.removeprefix("http://").removesuffix("/v1")
    chat = make_chat("verl", settings, Served(address, "/models/judge"))
    await chat.complete(MESSAGES)
    await chat.close()
    assert judge_server.requests[0]["model"] == "/models/judge"
    with pytest.raises(SettingError, match="served by verl, which only a training does"):
        make_chat("verl", settings)
