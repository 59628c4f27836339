from __future__ import annotations

import json
import socket
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from writing_rl.errors import JudgeError, SettingError, Unscored
from writing_rl.judging.judge import Answer, Question, Templates, make_judge
from writing_rl.judging.openai_compatible import DASHSCOPE, ENDPOINTS, OpenAICompatibleJudge, endpoint_of
from writing_rl.settings import JudgeSettings

KEY = "sk-0123456789abcdef"
TEMPLATES = Templates(
    default="{prompt}|{answer_a}|{answer_b}",
    with_criteria="{prompt}|{answer_a}|{answer_b}|{criteria}",
    ask_again="Verdict?",
)
QUESTION = Question("task", "first", "second")


def make(url: str | None, **settings: Any) -> OpenAICompatibleJudge:
    settings = {"deadline_s": 20.0, "max_retries": 0, **settings}
    return OpenAICompatibleJudge(JudgeSettings(model="judge-1", base_url=url, **settings), TEMPLATES)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return KEY


async def test_the_judges_text_comes_back(judge_server: Any, reply: Any) -> None:
    judge_server.replies = [reply("Text A is better.\n[[A]]")]
    judge = make(judge_server.url, temperature=0.25, max_tokens=77)
    assert await judge.answer(QUESTION) == Answer("Text A is better.\n[[A]]")
    (request,) = judge_server.requests
    assert request["model"] == "judge-1"
    assert request["messages"] == [{"role": "user", "content": "task|first|second"}]
    assert request["temperature"] == 0.25
    assert request["max_tokens"] == 77
    assert judge_server.keys == [f"Bearer {KEY}"]


async def test_tokens_are_those_that_the_endpoint_counts(judge_server: Any, reply: Any) -> None:
    body = json.loads(reply("[[C]]").content()) | {
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    }
    judge_server.replies = [reply(body=json.dumps(body))]
    assert await make(judge_server.url).answer(QUESTION) == Answer("[[C]]", 11, 7)


async def test_an_answer_without_a_verdict_is_answered(judge_server: Any) -> None:
    await make(judge_server.url).answer(replace(QUESTION, unread="Both are fine."))
    assert judge_server.requests[0]["messages"] == [
        {"role": "user", "content": "task|first|second"},
        {"role": "assistant", "content": "Both are fine."},
        {"role": "user", "content": "Verdict?"},
    ]


async def test_criteria_choose_the_other_template(judge_server: Any) -> None:
    await make(judge_server.url).answer(Question("task", "first", "second", "kindness"))
    assert judge_server.requests[0]["messages"][0]["content"] == "task|first|second|kindness"


async def test_an_endpoint_of_ones_own_needs_no_key(
    judge_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    await make(judge_server.url).answer(QUESTION)
    assert judge_server.keys == ["Bearer none"]


@pytest.mark.parametrize(
    ("model", "base_url", "url", "variable"),
    [
        ("gpt-4.1", None, None, "OPENAI_API_KEY"),
        ("qwen-plus", None, DASHSCOPE.url, "DASHSCOPE_API_KEY"),
        ("Qwen3-Max", None, DASHSCOPE.url, "DASHSCOPE_API_KEY"),
        ("qwen-plus", "http://here/v1", "http://here/v1", "OPENAI_API_KEY"),
    ],
)
def test_a_models_endpoint_is_the_one_that_is_set_or_that_its_name_stands_for(
    model: str, base_url: str | None, url: str | None, variable: str
) -> None:
    assert endpoint_of(model, base_url) == (url, variable)


async def test_dashscope_gets_its_own_key(judge_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENDPOINTS, "judge", DASHSCOPE._replace(url=judge_server.url))
    with pytest.raises(SettingError, match="set DASHSCOPE_API_KEY"):
        make(None)
    monkeypatch.setenv("DASHSCOPE_API_KEY", "another")
    await make(None).answer(QUESTION)
    assert judge_server.keys == ["Bearer another"]


def test_openais_endpoint_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(SettingError, match="OPENAI_API_KEY"):
        make(None)


def test_the_model_name_makes_the_judge() -> None:
    assert isinstance(make_judge(JudgeSettings(model="judge-1"), TEMPLATES), OpenAICompatibleJudge)
    offline = make_judge(JudgeSettings(model="offline"), TEMPLATES)
    assert "no LLM judge" in offline.description


async def test_a_busy_endpoint_is_asked_again_when_it_says(judge_server: Any, reply: Any) -> None:
    # The client's own backoff would ask again within half a second.
    judge_server.replies = [reply(status=429, headers={"Retry-After": "1"}), reply("[[B]]")]
    assert await make(judge_server.url, max_retries=1).answer(QUESTION) == Answer("[[B]]")
    first, second = judge_server.times
    assert second - first >= 1.0


@pytest.mark.parametrize(("status", "reason"), [(429, "http_429"), (500, "http_500"), (503, "http_503")])
async def test_an_endpoint_that_stays_broken_leaves_it_unscored(
    judge_server: Any, reply: Any, status: int, reason: str
) -> None:
    judge_server.replies = [reply(status=status, headers={"retry-after-ms": "1"})]
    with pytest.raises(Unscored) as error:
        await make(judge_server.url, max_retries=3).answer(QUESTION)
    assert error.value.reason == reason
    assert len(judge_server.requests) == 4


async def test_the_deadline_holds_over_all_retries(judge_server: Any, reply: Any) -> None:
    judge_server.replies = [reply(status=500)]
    with pytest.raises(Unscored) as error:
        await make(judge_server.url, max_retries=1000, deadline_s=0.7).answer(QUESTION)
    assert error.value.reason == "timeout"
    assert str(error.value) == "timeout: no answer within 0.7 s"


@pytest.mark.timeout(60)
async def test_a_hanging_endpoint_is_left_at_the_deadline(judge_server: Any, reply: Any) -> None:
    judge_server.replies = [reply(hang=True)]
    with pytest.raises(Unscored) as error:
        await make(judge_server.url, max_retries=1000, deadline_s=0.3).answer(QUESTION)
    assert error.value.reason == "timeout"


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_names_its_variable(judge_server: Any, reply: Any, status: int) -> None:
    judge_server.replies = [reply(status=status)]
    with pytest.raises(JudgeError) as error:
        await make(judge_server.url, max_retries=3).answer(QUESTION)
    assert str(error.value) == (
        f"judge judge-1 at 127.0.0.1 refuses the key ({status}): check OPENAI_API_KEY"
    )
    assert len(judge_server.requests) == 1


async def test_an_unknown_model_names_the_settings(judge_server: Any, reply: Any) -> None:
    judge_server.replies = [reply(status=404)]
    with pytest.raises(JudgeError) as error:
        await make(judge_server.url).answer(QUESTION)
    assert str(error.value) == (
        "judge judge-1 at 127.0.0.1 is not there (404): check JUDGE_MODEL and OPENAI_BASE_URL"
    )


async def test_a_refused_connection_leaves_it_unscored() -> None:
    with socket.socket() as unused:  # bound and not listening: nobody else can be given the port meanwhile
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Unscored) as error:
            await make(f"http://127.0.0.1:{unused.getsockname()[1]}/v1").answer(QUESTION)
    assert error.value.reason == "connection"


async def test_a_request_that_the_endpoint_refuses_is_unscored(judge_server: Any, reply: Any) -> None:
    judge_server.replies = [reply(status=400)]
    with pytest.raises(Unscored) as error:
        await make(judge_server.url, max_retries=3).answer(QUESTION)
    assert error.value.reason == "http_400"
    assert len(judge_server.requests) == 1


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (json.dumps({"id": "1", "choices": []}), "application/json"),
        (json.dumps({"id": "1"}), "application/json"),
        (json.dumps({"error": "busy"}), "application/json"),
        (json.dumps({"choices": [{"index": 0}]}), "application/json"),
        (json.dumps({"choices": [{"index": 0, "message": {"role": "assistant"}}]}), "application/json"),
        (json.dumps({"choices": [{"index": 0, "message": {"content": ""}}]}), "application/json"),
        ("[]", "application/json"),
        ("not json", "application/json"),
        ("<html>the start page of something else</html>", "text/html"),
        ("", "text/plain"),
    ],
    ids=[
        "no choices",
        "no list",
        "error",
        "no message",
        "no content",
        "empty content",
        "list",
        "no json",
        "page",
        "nothing",
    ],
)
async def test_an_answer_in_another_form_is_unscored(
    judge_server: Any, reply: Any, body: str, kind: str
) -> None:
    judge_server.replies = [reply(body=body, headers={"Content-Type": kind})]
    with pytest.raises(Unscored):
        await make(judge_server.url).answer(QUESTION)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
async def test_the_key_is_in_no_error(judge_server: Any, reply: Any, status: int) -> None:
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}})
    judge_server.replies = [reply(status=status, body=body)]
    with pytest.raises((JudgeError, Unscored)) as error:
        await make(judge_server.url).answer(QUESTION)
    assert KEY not in str(error.value)
    assert KEY not in repr(error.value)


async def test_a_key_that_no_header_can_hold_is_in_no_traceback(
    judge_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\nsecond line")
    with pytest.raises((JudgeError, SettingError, Unscored)) as error:
        await make(judge_server.url).answer(QUESTION)
    assert KEY not in "".join(traceback.format_exception(error.value))


async def test_a_line_break_after_the_key_does_no_harm(
    judge_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    await make(judge_server.url).answer(QUESTION)
    assert judge_server.keys == [f"Bearer {KEY}"]


def test_the_description_names_model_and_host_and_no_key(judge_server: Any) -> None:
    assert make(judge_server.url).description == "judge-1 at 127.0.0.1"
    assert KEY not in make(judge_server.url.replace("//", f"//user:{KEY}@")).description


async def test_one_client_keeps_its_connection(judge_server: Any, tmp_path: Path) -> None:
    judge = make(judge_server.url)
    client = judge._client
    for _ in range(3):
        await judge.answer(QUESTION)
    assert judge._client is client
    assert len(judge_server.requests) == 3
