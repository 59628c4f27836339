"""Which parameter a refusal is about, in the words of many providers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.errors import JudgeError, SettingError
from writing_rl.judging.providers.answers import read_reply
from writing_rl.judging.providers.failures import Reply
from writing_rl.judging.providers.parameters import Parameters, refused
from writing_rl.judging.settings import JudgeSettings, read_request, read_requests

THINK, DO_NOT = ({"enable_thinking": value} for value in (True, False))
SENT = {"temperature": 0.0, "max_tokens": 2048}
RENAMED = {"max_completion_tokens": 2048}


def reply_of(message: str, status: int = 400, **fields: Any) -> Reply:
    return read_reply(status, {}, json.dumps({"error": {"message": message, **fields}}).encode())


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (
            reply_of(
                "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
                param="max_tokens",
            ),
            [("max_tokens", RENAMED)],
        ),
        (reply_of("no", param="max_tokens", code="unsupported_parameter"), [("max_tokens", RENAMED)]),
        (
            reply_of("use max_output_tokens, not max_tokens, which is unknown"),
            [("max_tokens", {"max_output_tokens": 2048})],
        ),
        (reply_of("Range of max_tokens should be [1, 1024]"), [("max_tokens", {})]),
        (reply_of("Only the default (1) value is supported.", param="temperature"), [("temperature", {})]),
        (reply_of("`temperature` is deprecated for this model."), [("temperature", {})]),
        (reply_of("invalid temperature: only 1 is allowed for this model"), [("temperature", {})]),
        (
            reply_of("UnsupportedParamsError: x does not support {'temperature': 0.0}", 500),
            [("temperature", {})],
        ),
        (reply_of("temperature 必须大于 0"), [("temperature", {})]),
        (reply_of("`temperature` must be strictly positive", 422), [("temperature", {})]),
        (reply_of("temperature and top_p cannot both be specified"), [("temperature", {})]),
        (reply_of("nope", param="parameters.temperature"), [("temperature", {})]),
        (
            reply_of("parameter.enable_thinking must be set to false for non-streaming calls"),
            [("enable_thinking", DO_NOT)],
        ),
        (
            reply_of("The value of the enable_thinking parameter is restricted to True."),
            [("enable_thinking", THINK)],
        ),
        (reply_of("enable_thinking=true is not supported without stream"), [("enable_thinking", DO_NOT)]),
        # These are about something else.
        (reply_of("'max_tokens' is too large: 2048. The maximum context length is 4096 tokens"), []),
        (reply_of("The temperature of the text is unpleasant"), []),
        (reply_of("Role must be user"), []),
        (reply_of("unsupported parameter: temperature", 403), []),
        (reply_of("unsupported parameter: temperature", 429), []),
        (read_reply(200, {}, b"{}"), []),
    ],
)
def test_a_refused_parameter_is_recognized(reply: Reply, expected: list[Any]) -> None:
    assert [tuple(refusal) for refusal in refused(reply, SENT)] == expected


def test_the_field_of_a_validator_is_recognized() -> None:
    detail = [
        {"type": "extra_forbidden", "loc": ["body", "temperature"], "msg": "Extra inputs are not permitted"}
    ]
    reply = read_reply(422, {}, json.dumps({"detail": detail}).encode())
    assert [refusal.name for refusal in refused(reply, SENT)] == ["temperature"]


def test_a_word_of_a_sentence_is_no_parameter() -> None:
    sent = {**SENT, "stop": ["x"], "seed": 1}
    assert refused(reply_of("You must stop at once, and cannot seed doubt"), sent) == ()
    assert [refusal.name for refusal in refused(reply_of("unknown parameter: seed"), sent)] == ["seed"]


def parameters(**settings: Any) -> Parameters:
    return Parameters("m", JudgeSettings(models=("m",), **settings))


def learn(known: Parameters, message: str, *, answered: bool = False, **fields: Any) -> str | None:
    return known.learn(reply_of(message, **fields), known.sent, judge="m at h", key="", answered=answered)


def test_precedence_is_the_users_then_learnt_then_the_default() -> None:
    known = parameters(
        request={"top_p": 0.5, "temperature": 0.3},
        request_by_model={"m": {"top_p": 0.6}},
        learnt={"m": {"temperature": None, "max_tokens": None, "max_completion_tokens": 9, "top_p": 0.1}},
    )
    assert known.sent == {"temperature": 0.3, "max_completion_tokens": 9, "top_p": 0.6}


def test_a_refusal_of_a_request_with_parameters_of_before_is_no_news() -> None:
    known, before = parameters(), SENT
    assert "it is left out" in (learn(known, "unknown parameter: temperature") or "")
    reply = reply_of("unknown parameter: temperature")
    assert known.learn(reply, before, judge="m at h", key="", answered=False) == ""
    assert known.sent == {"max_tokens": 2048}


def test_learning_ends_whatever_is_refused() -> None:
    known = parameters()
    for _ in range(20):
        for message in (
            "unknown parameter: max_tokens, use max_completion_tokens",
            "unknown parameter: max_completion_tokens, use max_tokens",
            "unknown parameter: temperature",
            "enable_thinking must be true",
            "enable_thinking must be false",
        ):
            learn(known, message)
    assert known.sent == {"enable_thinking": True}
    assert learn(known, "enable_thinking must be false") is None


def test_after_an_answer_no_refusal_is_final() -> None:
    known = parameters(request={"temperature": 0.5})
    assert learn(known, "unknown parameter: temperature", answered=True) is None
    with pytest.raises(JudgeError):
        learn(known, "unknown parameter: temperature")


def test_ours_is_left_out_before_the_users() -> None:
    known = parameters(request={"top_p": 0.5})
    learn(known, "temperature and top_p cannot both be specified")
    assert known.sent == {"max_tokens": 2048, "top_p": 0.5}


@given(st.text(max_size=200))
def test_any_sentence_can_be_read(message: str) -> None:
    refused(reply_of(message), SENT)


@pytest.mark.parametrize("value", [None, "", "{}", {}])
def test_no_parameters_are_none(value: Any) -> None:
    assert read_request(value, "s") == {}
    assert read_requests(value, "s") == {}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("nonsense", "s is not JSON"),
        ("[" * 100_000, "s is not JSON"),
        ([1], "s is [1]"),
        ({"model": "x"}, "JUDGE_MODEL names the model"),
        ({"stream": True}, "s sets stream"),
        ({"x_api_key": "k"}, "keys come from the environment"),
        ({"top_p": float("nan")}, "JSON cannot hold"),
    ],
)
def test_what_is_no_parameter_names_the_setting(value: Any, words: str) -> None:
    with pytest.raises(SettingError) as error:
        read_request(value, "s")
    assert words in str(error.value)
