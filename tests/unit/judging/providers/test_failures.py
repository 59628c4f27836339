"""The table that sorts what came back from a judge's endpoint: a test for each row, and more of each kind."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.errors import JudgeError, MayBeFinal, Transient, Unreached, Unscored
from writing_rl.judging.providers.answers import read_reply
from writing_rl.judging.providers.failures import TABLE, Fate, Reply, failure_of, row_of

PAGE = "<!DOCTYPE html>\n<html><head><title>Attention required</title></head><body>blocked</body></html>"


def error(message: str = "", **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


def completion(content: Any = "[[A]]", finish: Any = "stop", **message: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, **message}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}]}


def moderated(**metadata: Any) -> dict[str, Any]:
    return error("x requires moderation", code=403, metadata=metadata)


#: Name of a row, then status and body of what comes back. The first example of a row is its test.
EXAMPLES: list[tuple[str, int, Any]] = [
    ("withheld", 200, completion("", "content_filter")),
    ("withheld", 200, {"choices": [{"message": {"role": "assistant"}, "finish_reason": "content_filter"}]}),
    ("withheld", 200, completion("Half of it", "SAFETY")),
    ("withheld", 200, completion("", "sensitive")),
    ("withheld", 200, completion(None, "PROHIBITED_CONTENT")),
    ("withheld", 200, completion("", "RECITATION")),
    ("refused", 200, completion(None, refusal="I will not judge this.")),
    ("refused", 200, completion([{"type": "refusal", "refusal": "no"}])),
    ("ended as a refusal", 200, completion("", "refusal")),
    ("ended by an error", 200, completion("Half [[A]]", "error")),
    ("ended by an error", 200, completion("", "network_error")),
    ("ended by an error", 200, completion("[[A", "insufficient_system_resource")),
    ("ended by an error", 200, completion("[[A", "abort")),
    ("cut off", 200, completion("[[A]] would", "length")),
    ("cut off", 200, {"choices": [{"message": {"role": "assistant"}, "finish_reason": "length"}]}),
    ("cut off", 200, completion(None, "length", reasoning_content="Let me see")),
    ("cut off", 200, completion("a", "max_tokens")),
    ("cut off", 200, completion("a", "MAX_TOKENS")),
    ("cut off", 200, completion("a", "model_length")),
    ("cut off", 200, completion("a", "model_context_window_exceeded")),
    ("thinking alone", 200, completion(None, reasoning_content="A is better. [[A]]")),
    ("thinking alone", 200, completion("", reasoning="[[A]]")),
    ("thinking alone", 200, completion([{"type": "reasoning", "summary": [{"text": "[[A]]"}]}])),
    ("nothing said", 200, completion(None)),
    ("nothing said", 200, completion(" \n")),
    ("nothing said", 200, completion([])),
    ("no text", 200, completion([{"type": "image_url", "image_url": {}}])),
    ("no text", 200, completion({"a": 1})),
    ("whole", 200, completion("[[A]]")),
    (
        "whole",
        200,
        completion(
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "[[B]]"}]},
                {"type": "text", "text": "[[A]]"},
            ]
        ),
    ),
    (
        "whole",
        200,
        completion([{"type": "reasoning", "summary": []}, {"type": "output_text", "text": "[[A]]"}]),
    ),
    ("whole", 200, completion("[[A]]", None)),
    ("whole", 200, completion("[[A]]", "end_turn")),
    ("whole", 200, completion("[[A]]", 7)),
    ("whole", 200, {"output": {"choices": [{"message": {"content": "[[A]]"}, "finish_reason": "stop"}]}}),
    ("moderation's findings", 403, moderated(reasons=["violence"])),
    ("moderation's findings", 400, moderated(flagged_input="blood")),
    (
        "country",
        403,
        error("Country, region, or territory not supported", code="unsupported_country_region_territory"),
    ),
    (
        "country",
        400,
        [error("User location is not supported for the API use.", status="FAILED_PRECONDITION")],
    ),
    (
        "no free tier left",
        403,
        {"code": "AllocationQuota.FreeTierOnly", "message": "The free tier of the model has been exhausted."},
    ),
    ("no credit by status", 402, error("Insufficient Balance")),
    ("no credit by status", 402, ""),
    ("no credit by the sentence", 429, error("You exceeded your current quota", code="insufficient_quota")),
    (
        "no credit by the sentence",
        403,
        error("用户额度不足", type="new_api_error", code="insufficient_user_quota"),
    ),
    ("no credit by the sentence", 400, error("Your credit balance is too low to access the API.")),
    (
        "no credit by the sentence",
        403,
        {"code": 30001, "message": "Sorry, your account balance is insufficient"},
    ),
    ("no credit by the sentence", 429, error("您的账户已欠费，请充值后重试。", code="1113")),
    (
        "no credit by the sentence",
        400,
        {"code": "Arrearage", "message": "Access denied, please make sure your account is in good standing."},
    ),
    (
        "no credit by the sentence",
        429,
        error("Your account is suspended", type="exceeded_current_quota_error"),
    ),
    (
        "no credit by the sentence",
        412,
        {"error": "Account suspended, possibly due to failure to pay past invoices"},
    ),
    (
        "no credit by the sentence",
        200,
        {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}, "choices": None},
    ),
    ("data policy", 404, error("No endpoints found matching your data policy (Free model publication)")),
    (
        "too long",
        400,
        error("This model's maximum context length is 8192 tokens", code="context_length_exceeded"),
    ),
    (
        "too long",
        400,
        error("'max_tokens' is too large: 2048. This model's maximum context length is 4096 tokens"),
    ),
    ("too long", 400, {"code": "InvalidParameter", "message": "Range of input length should be [1, 30720]"}),
    (
        "too long",
        429,
        error("Request too large for gpt-4o on tokens per min (TPM)", code="rate_limit_exceeded"),
    ),
    ("body too large", 413, PAGE),
    (
        "filtered",
        400,
        error(
            "The response was filtered",
            code="content_filter",
            innererror={"code": "ResponsibleAIPolicyViolation"},
        ),
    ),
    (
        "filtered",
        403,
        {
            "code": "The caller does not have permission",
            "error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO",
        },
    ),
    ("filtered", 400, error("Content Exists Risk", type="invalid_request_error")),
    (
        "filtered",
        400,
        {"code": "DataInspectionFailed", "message": "Input data may contain inappropriate content."},
    ),
    ("filtered", 400, error("系统检测到输入或生成内容可能包含不安全或敏感内容", code="1301")),
    ("filtered", 403, error("Your prompt was flagged by our systems")),
    ("filtered", 500, error("sensitive_words_detected")),
    ("legal reasons", 451, error("by order of a court")),
    ("key refused", 401, error("Incorrect API key provided", code="invalid_api_key")),
    ("key refused", 401, error("organization mismatch", code="mismatched_organization")),
    ("key refused", 401, ""),
    ("proxy", 407, ""),
    (
        "key refused by the sentence",
        400,
        error("API key not valid. Please pass a valid API key.", status="INVALID_ARGUMENT"),
    ),
    ("key refused by the sentence", 403, error("该令牌状态不可用")),
    ("stream alone", 400, error("This model only support stream mode, please enable the stream parameter.")),
    ("other address", 400, {"code": "InvalidParameter", "message": "url error, please check url!"}),
    ("no such model", 404, error("The model `gpt-9` does not exist", code="model_not_found")),
    ("no such model", 400, error("Model Not Exist", type="invalid_request_error")),
    (
        "no such model",
        404,
        error("The API deployment for this resource does not exist.", code="DeploymentNotFound"),
    ),
    ("firewall", 403, PAGE),
    ("firewall", 406, PAGE),
    ("access refused", 403, {"code": "Model.AccessDenied", "message": "Model access denied."}),
    ("access refused", 403, {"code": "AccessDenied.Unpurchased", "message": "Access to model denied."}),
    ("access refused", 403, error("Your organization must be verified to use the model")),
    ("access refused", 403, error("You don't have access to the model")),
    ("refused without saying why", 403, error("Forbidden")),
    ("refused without saying why", 403, ""),
    ("not there", 404, error("Not Found")),
    ("no page there", 404, "<html><title>404 Not Found</title></html>"),
    ("no page there", 404, ""),
    ("nothing that takes requests, or a firewall", 405, PAGE),
    ("no channel", 503, error("当前分组 default 下对于模型 x 无可用渠道", type="new_api_error")),
    ("redirect", 308, ""),
    ("rate", 429, error("Rate limit reached, please try again in 20s", code="rate_limit_exceeded")),
    (
        "rate",
        429,
        [error("You exceeded your current quota. Please retry in 36.6s", status="RESOURCE_EXHAUSTED")],
    ),
    ("rate", 429, {"code": "Throttling.RateQuota", "message": "Requests rate limit exceeded"}),
    ("quota", 429, error("You exceeded your current quota, please check your plan")),
    ("gateway with nothing behind it", 502, PAGE),
    (
        "gateway with nothing behind it",
        503,
        {"error": "Model x is currently loading", "estimated_time": 20.0},
    ),
    ("gateway with nothing behind it", 521, PAGE),
    ("gateway with nothing behind it", 200, error("Bad gateway", code=502)),
    ("busy or broken", 500, error("boom")),
    ("busy or broken", 529, error("Overloaded", type="overloaded_error")),
    ("busy or broken", 429, error("")),
    ("busy or broken", 520, PAGE),
    ("busy or broken", 524, PAGE),
    ("busy or broken", 408, ""),
    ("busy or broken", 498, error("Flex tier capacity exceeded")),
    (
        "busy or broken",
        200,
        {
            "choices": [
                {"error": {"code": 504, "message": "upstream timed out"}, "message": {"content": "[[A"}}
            ]
        },
    ),
    ("busy by the sentence", 200, error("Provider overloaded")),
    ("busy by the sentence", 400, error("系统繁忙，请稍后再试")),
    ("page in place of an answer", 200, "<html><h1>Sign in to HotelNet</h1></html>"),
    ("no answer in it", 200, ""),
    ("no answer in it", 200, '["cut of'),
    ("no answer in it", 200, {"choices": []}),
    ("no answer in it", 200, {"id": "1"}),
    ("no answer in it", 200, []),
    ("no answer in it", 200, "[" * 100_000),
    ("no answer in it", 202, ""),
    ("no answer in it", 204, ""),
    ("other refusals", 400, error("Invalid role", type="invalid_request_error")),
    ("other refusals", 422, {"detail": [{"loc": ["body", "messages"], "msg": "Field required"}]}),
    ("other refusals", 418, "short and stout"),
]

#: What each fate becomes while the judge has answered nothing, and after it has.
EXCEPTIONS = {
    Fate.TEXT: (Unscored, Unscored),
    Fate.RETRY: (Transient, Transient),
    Fate.AWAY: (Unreached, Unreached),
    Fate.KEY: (MayBeFinal, MayBeFinal),
    Fate.STRANGE: (MayBeFinal, Transient),
    Fate.DOUBTFUL: (MayBeFinal, Unscored),
    Fate.JUDGE: (JudgeError, MayBeFinal),
}


def reply_of(status: int, body: Any) -> Reply:
    content = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return read_reply(status, {"Location": "http://other/v1"} if status == 308 else {}, content.encode())


def failed(reply: Reply, **more: Any) -> Exception | None:
    return failure_of(reply, judge="m at h", key_variable="OPENAI_API_KEY", compatible="http://c/v1", **more)


def test_each_row_of_the_table_has_examples() -> None:
    assert [row.name for row in TABLE if row.name not in {name for name, _, _ in EXAMPLES}] == []
    assert len({row.name for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize(("name", "status", "body"), EXAMPLES)
def test_what_came_back_is_sorted(name: str, status: int, body: Any) -> None:
    reply = reply_of(status, body)
    row = row_of(reply)
    assert row.name == name
    for answered in (False, True):
        failure = failed(reply, answered=answered)
        if row.fate in (Fate.WHOLE, Fate.CUT):
            assert failure is None
            continue
        assert type(failure) is EXCEPTIONS[row.fate][answered]
        assert "{" not in str(failure)
        assert "\n" not in str(failure)


def test_a_whole_answer_is_its_text_parts_without_thinking() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "[[B]]"}]},
        {"type": "text", "text": "Text A.\n"},
        {"type": "reasoning", "text": "[[B]]"},
        {"type": "text", "text": "[[A]]"},
    ]
    assert reply_of(200, completion(parts)).text == "Text A.\n[[A]]"


def test_the_providers_sentence_is_shown_in_one_line_without_secrets_and_control_characters() -> None:
    key = "sk-0123456789abcdefgh"
    said = f"\x1b]52;c;AAAA\x07Enable\nthe model, not {key} \u202e at https://console/x" + " more" * 200
    failure = failed(reply_of(403, error(said, code="AccessDenied.Unpurchased")), key=key)
    message = str(failure)
    assert "AccessDenied.Unpurchased" in message
    assert "Enable" in message
    assert "OPENAI_API_KEY" in message
    assert key not in message
    assert message.isprintable()
    assert len(message) < 500


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (402, error("Top up at x"), ["no credit", "Top up at x", "OPENAI_API_KEY"]),
        (404, error("Enable logging under Privacy: data policy"), ["Enable logging under Privacy"]),
        (400, error("url error"), ["http://c/v1", "OPENAI_BASE_URL", "DASHSCOPE_API_KEY"]),
        (200, completion(None, reasoning_content="x"), ["reasoning parser"]),
        (200, "<html><title>Log in</title></html>", ["web page", "Log in", "OPENAI_BASE_URL"]),
        (
            401,
            error("You must be a member of organization x"),
            ["member of organization x", "OPENAI_API_KEY"],
        ),
        (
            502,
            {"error": {"message": "Provider returned error", "metadata": {"raw": "disk full"}}},
            ["disk full"],
        ),
    ],
)
def test_what_to_do_is_said(status: int, body: Any, words: list[str]) -> None:
    failure = failed(reply_of(status, body))
    message = str(getattr(failure, "final", failure))
    assert [word for word in words if word not in message] == []


def test_a_case_sensitive_name_is_no_sensitive_text() -> None:
    assert row_of(reply_of(400, error("parameter names are case-sensitive"))).name == "other refusals"


@given(st.integers(200, 599), st.binary(max_size=300))
def test_any_body_is_sorted(status: int, content: bytes) -> None:
    row_of(read_reply(status, {}, content))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "content",
                    "error",
                    "code",
                    "metadata",
                    "output",
                    "usage",
                    "detail",
                    "loc",
                ]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.sampled_from([200, 400, 401, 403, 404, 429, 500]), JSON)
def test_any_json_is_sorted(status: int, body: Any) -> None:
    failed(read_reply(status, {}, json.dumps(body).encode()))


@pytest.mark.parametrize("status", [402, 403, 404])
def test_what_is_final_for_a_judge_must_repeat_once_it_has_answered(status: int) -> None:
    reply = Reply(status, message="You have no credits left. Model not found, permission denied.")
    first = failure_of(reply, judge="m", key_variable="KEY")
    later = failure_of(reply, judge="m", key_variable="KEY", answered=True)
    assert isinstance(first, JudgeError)
    assert isinstance(later, MayBeFinal)
    assert str(later.final) == str(first)
