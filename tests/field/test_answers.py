"""What comes back from endpoints: what is meant for one text stays with it, what may pass is tried again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.field.endpoints import FieldServer
from tests.field.judging import at_dashscope, judged, sample, settings_for
from writing_rl.errors import JudgeError
from writing_rl.judging.client import request_queue
from writing_rl.judging.settings import JudgeSettings
from writing_rl.judging.verdict import Outcome
from writing_rl.launch import preflight
from writing_rl.settings import Settings

TEXTS = [f"A response, number {number}." for number in range(40)]


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch, field_server: FieldServer) -> None:
    """Pauses between tries are short, and keys are there."""
    monkeypatch.setattr(request_queue, "FIRST_PAUSE_S", 0.01)
    for name in ("OPENAI_API_KEY", "DASHSCOPE_API_KEY"):
        monkeypatch.setenv(name, "sk-0123456789abcdef")
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", f"{field_server.origin}/api/v1")


@pytest.fixture(params=["openai", "dashscope"])
def settings(request: pytest.FixtureRequest, field_server: FieldServer) -> Any:
    """Makes the settings of a model that is asked through each SDK."""

    def make(model: str, **more: object) -> JudgeSettings:
        made = settings_for(model, field_server, **more)
        return at_dashscope(made) if request.param == "dashscope" else made

    return make


@pytest.mark.parametrize(
    ("model", "reason", "words"),
    [
        ("moderated", "content_filter", "requires moderation"),
        ("behind-a-firewall", "firewall", "Attention Required! | Cloudflare"),
        ("blames-the-text-in-its-own-words", "http_403", "Nope."),
    ],
)
def test_a_refused_text_is_unscored_and_all_others_are_judged(
    settings: Any, model: str, reason: str, words: str
) -> None:
    texts = [*TEXTS[:20], "There was blood.", *TEXTS[20:]]
    comparisons = judged(settings(model), texts, parallel=4)
    unscored = [comparison for comparison in comparisons if comparison.outcome is Outcome.UNSCORED]
    assert [(comparison.reason, words in comparison.detail) for comparison in unscored] == [(reason, True)]
    assert comparisons[20] is unscored[0]


def test_a_401_now_and_then_passes(settings: Any) -> None:
    comparisons = judged(settings("every-tenth-401"), TEXTS, parallel=4)
    assert {comparison.outcome for comparison in comparisons} == {Outcome.WIN}


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("wrong-key", ["You must be a member of the organization acme", "_API_KEY"]),
        ("no-credit", ["no credit", "top up at console/top_up", "_API_KEY"]),
        ("free-tier-only", ["AllocationQuota.FreeTierOnly", "Disable", "in the console"]),
        ("data-policy", ["matching your data policy", "/settings/privacy"]),
    ],
)
def test_what_is_final_for_a_judge_says_what_its_provider_says(
    settings: Any, field_server: FieldServer, model: str, words: list[str]
) -> None:
    with pytest.raises(JudgeError) as error:
        judged(settings(model), TEXTS[:8], parallel=4)
    assert [word for word in words if word not in str(error.value)] == []
    assert "\n" not in str(error.value)
    assert len(field_server.requests) < 8 * 8  # no question is asked as often as it may be


@pytest.mark.parametrize("model", ["odd-retry-after", "garbled-http"])
def test_what_may_pass_is_tried_again(settings: Any, model: str) -> None:
    (comparison,) = judged(settings(model), TEXTS[:1])
    assert comparison.outcome is Outcome.WIN


def test_errors_in_a_body_of_status_200_are_tried_again(field_server: FieldServer) -> None:
    (comparison,) = judged(settings_for("error-in-200", field_server), TEXTS[:1])
    assert comparison.outcome is Outcome.WIN
    assert len(field_server.requests) == 4


def test_parts_of_a_content_are_read_without_thinking(settings: Any) -> None:
    (comparison,) = judged(settings("parts"), TEXTS[:1])
    assert comparison.outcome is Outcome.WIN
    assert comparison.calls[0].answer.text == "Text A.\n[[A]]"


def test_an_answer_that_was_all_thinking_is_truncated(field_server: FieldServer) -> None:
    (comparison,) = judged(settings_for("thinks-too-long", field_server), TEXTS[:1])
    assert comparison.reason == "truncated"
    assert comparison.calls[-1].answer.thinking_tokens == 2048


def test_a_servers_reasoning_parser_that_swallows_answers_is_named(field_server: FieldServer) -> None:
    (comparison,) = judged(settings_for("wrong-reasoning-parser", field_server), TEXTS[:1])
    assert (comparison.outcome, comparison.reason) == (Outcome.UNSCORED, "thinking_only")
    assert "reasoning parser" in comparison.detail


def start(settings: JudgeSettings, texts: list[str]) -> None:
    run = Settings("index.json", "logs", settings)
    preflight.check_judge(run, [sample(text) for text in texts], "data/train.parquet")


@pytest.mark.parametrize("model", ["moderated", "behind-a-firewall"])
def test_the_start_asks_the_next_row_where_one_is_filtered(
    field_server: FieldServer, model: str, capfd: pytest.CaptureFixture[str]
) -> None:
    start(settings_for(model, field_server), ["blood", "more blood", "A text."])
    out = capfd.readouterr().out
    assert "row 0 of data/train.parquet" in out
    assert "row 1 of data/train.parquet" in out
    assert out.splitlines()[-1] == f"[writing-rl] judge: {model} at 127.0.0.1"


def test_a_start_whose_rows_are_all_filtered_names_the_file(field_server: FieldServer) -> None:
    with pytest.raises(JudgeError, match=r"look at the first 5 rows of data/train\.parquet"):
        start(settings_for("moderated", field_server), ["blood"] * 9)
    assert len(field_server.requests) == 5


def test_a_key_of_dashscopes_other_site_is_told_where_it_belongs(
    field_server: FieldServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DASHSCOPE_HTTP_BASE_URL")
    monkeypatch.setattr("dashscope.base_http_api_url", f"{field_server.origin}/api/v1")
    with pytest.raises(
        JudgeError, match=r"DASHSCOPE_HTTP_BASE_URL=https://dashscope-intl\.aliyuncs\.com/api/v1"
    ):
        judged(at_dashscope(settings_for("wrong-key", field_server)), TEXTS[:1])
